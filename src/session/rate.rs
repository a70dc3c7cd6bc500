//! The limits on the rates of a session: one that sends too fast is read later.
//!
//! Each frame asks for them. Without limits that is one comparison, the rest is in functions of its own.

use super::clock::Timer;
use super::work::Paused;
use super::{LOOK, Session};
use crate::access::PaceLimits;

impl Session {
    /// Whether the session must wait before its next frame.
    #[inline]
    pub(super) fn is_too_fast(&self) -> bool {
        self.host().pace.get().is_some_and(|limits| self.exceeds(&limits))
    }

    /// Counts messages, and bytes of them.
    #[inline]
    pub(super) fn spend(&mut self, messages: u32, bytes: usize) {
        if let Some(limits) = self.host().pace.get() {
            self.count(&limits, messages, bytes);
        }
    }

    /// Pauses a session that is too fast.
    #[inline]
    pub(super) fn keep_pace(&mut self) {
        if let Some(limits) = self.host().pace.get() {
            self.pause_for(&limits);
        }
    }

    /// A server that stops does not wait for it.
    #[inline(never)]
    fn exceeds(&self, limits: &PaceLimits) -> bool {
        !self.host().stopping() && self.ready_at(limits).is_some()
    }

    #[inline(never)]
    fn count(&mut self, limits: &PaceLimits, messages: u32, bytes: usize) {
        let (now, bytes) = (self.host().roll.nanos(), u32::try_from(bytes).unwrap_or(u32::MAX));
        self.pace.spend(limits, now, messages, bytes);
    }

    /// The peer of a paused session is looked after.
    #[inline(never)]
    fn pause_for(&mut self, limits: &PaceLimits) {
        let Some(ready_at) = self.ready_at(limits).filter(|_| !self.host().stopping()) else { return };
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
