//! The deadlines of a session, all by name, on one timer that is armed again only when it fires or must fire earlier.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// What a session may run out of time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A new session has to authenticate.
    Auth,
    /// Credentials and registry have to answer.
    LookUp,
    /// A frame was begun.
    Frame,
    /// Something has to come.
    Idle,
    /// The uplink has to answer.
    Store,
    /// The peer has to read.
    Write,
    /// The last words have to leave, the peer has to close.
    Close,
}

impl Timer {
    const ALL: [Self; 7] =
        [Self::Auth, Self::LookUp, Self::Frame, Self::Idle, Self::Store, Self::Write, Self::Close];

    /// Whether it runs while the session is `reading`, and while its peer alone decides whether it is `idle`: a peer is
    /// not punished for back-pressure, nor for waiting for an answer.
    const fn runs(self, reading: bool, idle: bool) -> bool {
        match self {
            Self::Frame => reading,
            Self::Idle => idle,
            _ => true,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Clock {
    deadlines: [Option<Instant>; Timer::ALL.len()],
    armed: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// Sets a deadline from now on.
    pub(super) fn set(&mut self, timer: Timer, time: Duration) {
        *self.deadline(timer) = Instant::now().checked_add(time);
    }

    /// Sets a deadline from now on unless it is set.
    pub(super) fn start(&mut self, timer: Timer, time: Duration) {
        if self.deadline(timer).is_none() {
            self.set(timer, time);
        }
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        *self.deadline(timer) = None;
    }

    /// The session is read again after a pause: what runs only meanwhile starts anew.
    pub(super) fn resume(&mut self, frame: Duration, idle: Option<Duration>) {
        if self.deadline(Timer::Frame).is_some() {
            self.set(Timer::Frame, frame);
        }
        if let Some(idle) = idle {
            self.set(Timer::Idle, idle);
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.deadlines.iter().all(Option::is_none)
    }

    /// The timer that is due, if one is; otherwise the task is woken when the next one will be.
    pub(super) fn poll(&mut self, reading: bool, idle: bool, cx: &mut Context<'_>) -> Option<Timer> {
        loop {
            let Some((deadline, timer)) = self.next(reading, idle) else {
                self.armed = None;
                return None;
            };
            let armed = self.armed.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if armed.deadline() > deadline {
                armed.as_mut().reset(deadline);
            }
            if armed.as_mut().poll(cx).is_pending() {
                return None;
            }
            if deadline <= Instant::now() {
                self.armed = None;
                self.clear(timer);
                return Some(timer);
            }
            armed.as_mut().reset(deadline);
        }
    }

    fn next(&self, reading: bool, idle: bool) -> Option<(Instant, Timer)> {
        let deadlines = self.deadlines.iter().zip(Timer::ALL);
        let running = deadlines.filter(|(_, timer)| timer.runs(reading, idle));
        running
            .filter_map(|(deadline, timer)| Some(((*deadline)?, timer)))
            .min_by_key(|(deadline, _)| *deadline)
    }

    fn deadline(&mut self, timer: Timer) -> &mut Option<Instant> {
        let [auth, look_up, frame, idle, store, write, close] = &mut self.deadlines;
        match timer {
            Timer::Auth => auth,
            Timer::LookUp => look_up,
            Timer::Frame => frame,
            Timer::Idle => idle,
            Timer::Store => store,
            Timer::Write => write,
            Timer::Close => close,
        }
    }
}
