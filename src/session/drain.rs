//! A server that drains: it rejects new sessions, and closes idle ones one after the other, evenly over a time, so that
//! devices do not all connect elsewhere at the same time.

use std::cell::Cell;
use std::time::Duration;

use super::roll::Moment;
use super::{Phase, Session};
use crate::access::Even;

/// Whether a thread drains.
#[derive(Default)]
pub(super) struct Drain {
    /// When the last idle session is closed.
    end: Cell<Option<Moment>>,
    over: Cell<Duration>,
    even: Cell<Even>,
}

impl Drain {
    /// Begins: the sessions end within `over`, the last of them at `end`.
    pub(super) fn begin(&self, over: Duration, end: Moment) {
        self.over.set(over);
        self.end.set(Some(end));
    }

    pub(super) const fn is_on(&self) -> bool {
        self.end.get().is_some()
    }

    /// How long the next session may go on.
    fn share(&self) -> Duration {
        let (mut even, over) = (self.even.get(), self.over.get().as_nanos());
        let nanos = even.below(u64::try_from(over).unwrap_or(u64::MAX));
        self.even.set(even);
        Duration::from_nanos(nanos)
    }
}

impl Session {
    /// Draws the moment from which on the session is closed when it is idle, unless it has one.
    pub(super) fn drains(&mut self) {
        let drain = &self.guard.host.drain;
        let Some(end) = drain.end.get() else { return };
        if self.phase == Phase::Authenticated && self.closing.is_none() && self.idle_at > end {
            self.idle_at = self.after(drain.share()).min(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_are_spread_evenly_over_the_time() {
        let (drain, over) = (Drain::default(), Duration::from_secs(10));
        drain.begin(over, Moment::NEVER);
        let mut seconds = [0; 10];
        for _ in 0..1000 {
            let share = drain.share();
            assert!(share < over);
            seconds[share.as_secs() as usize] += 1;
        }
        assert!(seconds.iter().all(|count| (95..=105).contains(count)), "{seconds:?}");
    }
}
