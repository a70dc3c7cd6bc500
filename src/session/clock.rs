//! The deadlines of a session, by name. Pure: what time it is, the thread's [`Roll`](super::roll::Roll) knows.

use super::roll::Moment;

/// What a session may run out of time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A new session has to authenticate.
    Auth,
    /// Credentials and registry have to answer.
    LookUp,
    /// A frame was begun.
    Frame,
    /// There has to be room for a frame.
    Room,
    /// While there is none, the session looks after its peer, whom it does not read.
    Look,
    /// The store has to answer.
    Store,
    /// The peer has to read.
    Write,
    /// The last words have to leave, the peer has to close.
    Close,
    /// Something has to come. It runs while the session has no clock, and so it is not one of its deadlines.
    Idle,
}

/// The deadlines of [`Timer`], but for the last.
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

    /// Sets a deadline unless it is set.
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

    /// The next deadline, and whose. That of a frame counts only while the session is `read`: a peer is not punished for
    /// back-pressure.
    pub(super) fn next(&self, read: bool) -> (Moment, Timer) {
        let deadlines = self.0.into_iter().zip(Self::TIMERS);
        let running = deadlines.filter(|(_, timer)| read || *timer != Timer::Frame);
        running.min_by_key(|(deadline, _)| *deadline).unwrap_or((Moment::NEVER, Timer::Idle))
    }
}
