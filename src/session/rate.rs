//! The limits on the rates of a session: one that sends too fast is read later.

use super::clock::Timer;
use super::work::Paused;
use super::{LOOK, Session};
use crate::access::PaceLimits;

/// No limits.
const NONE: PaceLimits = PaceLimits { bytes: None, messages: None };

impl Session {
    /// Whether the session must wait before its next frame. A server that stops does not wait for it.
    pub(super) fn is_too_fast(&self) -> bool {
        let limits = self.host().pace.get();
        limits != NONE && !self.host().stopping() && self.ready_at(&limits).is_some()
    }

    /// Counts messages, and bytes of them.
    pub(super) fn spend(&mut self, messages: u32, bytes: usize) {
        let host = &self.guard.host;
        let limits = host.pace.get();
        if limits != NONE {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            self.pace.spend(&limits, host.roll.nanos(), messages, bytes);
        }
    }

    /// Pauses a session that is too fast. Its peer is looked after meanwhile.
    pub(super) fn keep_pace(&mut self) {
        let Some(ready_at) = self.ready_at(&self.host().pace.get()).filter(|_| self.is_too_fast()) else {
            return;
        };
        if self.closing.is_some() || self.work().paused.is_some() {
            return;
        }
        let (ready, look) = (self.host().roll.moment_at(ready_at), self.after(LOOK));
        let work = self.work();
        work.paused = Some(Paused::Rate);
        work.clock.set(Timer::Rate, ready);
        work.clock.start(Timer::Look, look);
    }

    fn ready_at(&self, limits: &PaceLimits) -> Option<u64> {
        self.pace.ready_at(limits, self.host().roll.nanos())
    }
}
