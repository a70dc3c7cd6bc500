//! The report of a session that panicked: its client, the place, and the frame. It never contains data of the peer.

use std::cell::Cell;
use std::fmt;

use super::Session;
use crate::logging::Crash;
use crate::protocol::Kind;

thread_local! {
    /// The frame at which a session of this thread panicked.
    static PANICKED_AT: Cell<Option<(Kind, usize)>> = const { Cell::new(None) };
}

/// A frame whose handler runs. It is noted only if the handler unwinds, so that it costs a frame nothing.
pub(super) struct AtFrame {
    kind: Kind,
    len: usize,
}

impl AtFrame {
    pub(super) const fn new(kind: Kind, len: usize) -> Self {
        Self { kind, len }
    }

    /// The handler has returned.
    pub(super) const fn over(self) {
        std::mem::forget(self);
    }
}

impl Drop for AtFrame {
    fn drop(&mut self) {
        // Without thread-local storage, the thread is about to end.
        let _ = PANICKED_AT.try_with(|at| at.set(Some((self.kind, self.len))));
    }
}

/// What the last line of a session that panicked has besides the usual fields.
pub(super) struct Report {
    phase: &'static str,
    frame: Option<(Kind, usize)>,
    unanswered: usize,
    crash: Option<Crash>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "phase={}", self.phase)?;
        if let Some((kind, len)) = self.frame {
            write!(f, " frame={kind:?} length={len}")?;
        }
        write!(f, " unanswered={}", self.unanswered)?;
        self.crash.iter().try_for_each(|crash| write!(f, " {crash}"))
    }
}

impl Session {
    /// A turn of this session panicked.
    pub(super) fn crashed(&mut self) {
        let report = Report {
            phase: self.phase_name(),
            frame: PANICKED_AT.take(),
            unanswered: self.unanswered(),
            crash: Crash::take(),
        };
        let look_up = self.work.as_ref().and_then(|work| work.look_up.as_ref());
        let client = look_up.map(|look_up| look_up.client.clone());
        self.guard.crashes(report, client);
    }
}
