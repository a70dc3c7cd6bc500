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
    /// The end of a pause of a session that sends too fast.
    Rate,
    /// Limit for the answer of the store.
    Store,
    /// Limit for the peer to read its answers.
    Write,
    /// Limit for the last words to leave and the peer to close.
    Close,
    /// Limit for silence of the peer. It runs while the session has no clock, so it is not one of the deadlines.
    Idle,
}

const TIMERS: usize = Timer::Idle as usize;

/// All deadlines of [`Timer`] except the last. Between two frames, mostly none is set.
#[derive(Debug)]
pub(super) struct Clock {
    /// A bit for each deadline that is set.
    set: u16,
    deadlines: [Moment; TIMERS],
}

impl Default for Clock {
    fn default() -> Self {
        Self { set: 0, deadlines: [Moment::NEVER; TIMERS] }
    }
}

impl Clock {
    const TIMERS: [Timer; TIMERS] = [
        Timer::Auth,
        Timer::LookUp,
        Timer::Frame,
        Timer::Room,
        Timer::Look,
        Timer::Rate,
        Timer::Store,
        Timer::Write,
        Timer::Close,
    ];

    /// Sets a deadline.
    pub(super) fn set(&mut self, timer: Timer, at: Moment) {
        self.clear(timer);
        if let Some(deadline) = self.deadlines.get_mut(timer as usize).filter(|_| at != Moment::NEVER) {
            *deadline = at;
            self.set |= bit(timer);
        }
    }

    /// Sets a deadline unless it is already set.
    pub(super) fn start(&mut self, timer: Timer, at: Moment) {
        if !self.is_set(timer) {
            self.set(timer, at);
        }
    }

    pub(super) const fn clear(&mut self, timer: Timer) {
        self.set &= !bit(timer);
    }

    pub(super) const fn is_set(&self, timer: Timer) -> bool {
        self.set & bit(timer) != 0
    }

    pub(super) const fn is_off(&self) -> bool {
        self.set == 0
    }

    /// The next deadline and its timer. The deadline of a frame counts only while the session is `read`: back-pressure
    /// must not cost a peer its time.
    pub(super) fn next(&self, read: bool) -> (Moment, Timer) {
        const NEVER: (Moment, Timer) = (Moment::NEVER, Timer::Idle);
        if self.is_off() {
            return NEVER;
        }
        let set = self.deadlines.into_iter().zip(Self::TIMERS).filter(|(_, timer)| self.is_set(*timer));
        let running = set.filter(|(_, timer)| read || *timer != Timer::Frame);
        running.min_by_key(|(deadline, _)| *deadline).unwrap_or(NEVER)
    }
}

/// [`Timer::Idle`] has none.
const fn bit(timer: Timer) -> u16 {
    match timer {
        Timer::Idle => 0,
        _ => 1 << timer as u8,
    }
}
