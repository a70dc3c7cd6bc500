//! The deadlines of a session, by name. Pure: the thread's [`Roll`](super::roll::Roll) knows the time.

use super::roll::Moment;

/// The timers of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Limit for a new session to authenticate.
    Auth,
    /// Limit for the answer of credentials and registry.
    LookUp,
    /// Limit for the rest of a frame that has begun.
    Frame,
    /// Limit for the wait for room for a frame.
    Room,
    /// Interval of checks on the peer while the session waits for room and does not read.
    Look,
    /// Limit for the answer of the store.
    Store,
    /// Limit for the peer to read its answers.
    Write,
    /// Limit for the last words to leave and the peer to close.
    Close,
    /// Limit for silence of the peer. It runs while the session has no clock, so it is not one of the deadlines.
    Idle,
}

/// All deadlines of [`Timer`] except the last.
#[derive(Debug)]
pub(super) struct Clock([Moment; Timer::Idle as usize]);

impl Default for Clock {
    fn default() -> Self {
        Self([Moment::NEVER; Timer::Idle as usize])
    }
}

impl Clock {
    const TIMERS: [Timer; Timer::Idle as usize] = [
        Timer::Auth,
        Timer::LookUp,
        Timer::Frame,
        Timer::Room,
        Timer::Look,
        Timer::Store,
        Timer::Write,
        Timer::Close,
    ];

    /// Sets a deadline.
    pub(super) fn set(&mut self, timer: Timer, at: Moment) {
        self.0.get_mut(timer as usize).into_iter().for_each(|deadline| *deadline = at);
    }

    /// Sets a deadline unless it is already set.
    pub(super) fn start(&mut self, timer: Timer, at: Moment) {
        if !self.is_set(timer) {
            self.set(timer, at);
        }
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.set(timer, Moment::NEVER);
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0.get(timer as usize).is_some_and(|deadline| *deadline != Moment::NEVER)
    }

    pub(super) fn is_off(&self) -> bool {
        self.0.iter().all(|deadline| *deadline == Moment::NEVER)
    }

    /// The next deadline and its timer. The deadline of a frame counts only while the session is `read`: back-pressure
    /// must not cost a peer its time.
    pub(super) fn next(&self, read: bool) -> (Moment, Timer) {
        let deadlines = self.0.into_iter().zip(Self::TIMERS);
        let running = deadlines.filter(|(_, timer)| read || *timer != Timer::Frame);
        running.min_by_key(|(deadline, _)| *deadline).unwrap_or((Moment::NEVER, Timer::Idle))
    }
}
