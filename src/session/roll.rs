//! The sessions of one thread and their wake-up times: one coarse timer serves all of them.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The resolution of all deadlines, in milliseconds.
const GRAIN: u64 = 32;

/// A time on the clock of a [`Roll`], in units of its resolution. The range is four years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u32);

impl Moment {
    pub(super) const NEVER: Self = Self(u32::MAX);
}

pub(super) struct Roll {
    start: Instant,
    /// The time of this turn since `start`, if it was read. Reading the clock takes longer than most steps of a turn.
    elapsed: Cell<Option<Duration>>,
    sessions: RefCell<Slab<Listed>>,
    /// No session needs to wake up before this time.
    next: Cell<Moment>,
    earlier: Notify,
}

struct Listed {
    waker: Waker,
    wake_at: Moment,
}

impl Roll {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            start: Instant::now(),
            elapsed: Cell::new(None),
            sessions: RefCell::default(),
            next: Cell::new(Moment::NEVER),
            earlier: Notify::new(),
        })
    }

    /// A turn begins: all its steps happen at the same time.
    pub(super) fn new_turn(&self) {
        self.elapsed.set(None);
    }

    fn elapsed(&self) -> Duration {
        let elapsed = self.elapsed.get().unwrap_or_else(|| self.start.elapsed());
        self.elapsed.set(Some(elapsed));
        elapsed
    }

    pub(super) fn now(&self) -> Moment {
        self.moment(self.elapsed().as_millis() / u128::from(GRAIN))
    }

    /// The first moment at least this far in the future.
    pub(super) fn after(&self, time: Duration) -> Moment {
        self.moment(self.elapsed().saturating_add(time).as_millis().div_ceil(u128::from(GRAIN)))
    }

    /// The time of this turn, in nanoseconds since the start of the thread.
    pub(super) fn nanos(&self) -> u64 {
        u64::try_from(self.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The first moment that is not before this time, see [`Self::nanos`].
    pub(super) fn moment_at(&self, nanos: u64) -> Moment {
        self.moment(u128::from(nanos.div_ceil(GRAIN * 1_000_000)))
    }

    /// How long ago a moment was, at least.
    pub(super) fn since(&self, moment: Moment) -> Duration {
        Duration::from_millis(u64::from(self.now().0.saturating_sub(moment.0)) * GRAIN)
    }

    fn moment(&self, grains: u128) -> Moment {
        Moment(u32::try_from(grains).unwrap_or(u32::MAX))
    }

    pub(super) fn list(&self, session: &Waker) -> Option<u32> {
        let listed = Listed { waker: session.clone(), wake_at: Moment::NEVER };
        // The limit of file descriptors is lower than this.
        u32::try_from(self.sessions.borrow_mut().insert(listed)).ok()
    }

    pub(super) fn strike_off(&self, listed: u32) {
        self.sessions.borrow_mut().try_remove(listed as usize);
    }

    /// Sets the wake-up time of a session and replaces the earlier one.
    pub(super) fn wake_at(&self, listed: u32, moment: Moment) {
        let mut sessions = self.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(listed as usize) else { return };
        session.wake_at = moment;
        if moment < self.next.get() {
            self.next.set(moment);
            self.earlier.notify_one();
        }
    }

    /// The numbers of all sessions.
    pub(super) fn listed(&self) -> HashSet<u32> {
        let sessions = self.sessions.borrow();
        sessions.iter().filter_map(|(listed, _)| u32::try_from(listed).ok()).collect()
    }

    pub(super) fn wake_all(&self) {
        self.sessions.borrow().iter().for_each(|(_, session)| session.waker.wake_by_ref());
    }

    /// The timer of the sessions. If it is dropped and run again, the sessions are late and none is forgotten.
    pub(super) async fn run(self: Rc<Self>) {
        loop {
            let next = self.next.get();
            if next == Moment::NEVER {
                self.earlier.notified().await;
                continue;
            }
            let at = self.start + Duration::from_millis(u64::from(next.0) * GRAIN);
            tokio::select! {
                () = sleep_until(at) => self.ring(),
                () = self.earlier.notified() => {}
            }
        }
    }

    /// Wakes the sessions whose time has come. Postponed wake-ups are detected only here.
    fn ring(&self) {
        self.new_turn();
        let (now, mut next) = (self.now(), Moment::NEVER);
        for (_, session) in self.sessions.borrow_mut().iter_mut() {
            if session.wake_at <= now {
                session.wake_at = Moment::NEVER;
                session.waker.wake_by_ref();
            }
            next = next.min(session.wake_at);
        }
        self.next.set(next);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::{pause, sleep};

    use super::*;
    use crate::access::woken::Woken;

    #[actix::test]
    async fn each_is_woken_at_its_moment_and_not_before() {
        pause();
        let roll = Roll::new();
        actix_rt::spawn(Rc::clone(&roll).run());
        let woken: [Arc<Woken>; 3] = Default::default();
        let listed = woken.each_ref().map(|woken| roll.list(&Waker::from(Arc::clone(woken))).unwrap());
        let counts = || woken.each_ref().map(|woken| woken.count());
        let secs = Duration::from_secs;
        roll.wake_at(listed[0], roll.after(secs(10)));
        roll.wake_at(listed[1], roll.after(secs(5)));
        roll.wake_at(listed[2], roll.after(secs(2)));
        sleep(secs(1)).await;
        roll.new_turn();
        roll.wake_at(listed[2], Moment::NEVER);
        roll.wake_at(listed[1], roll.after(secs(8)));
        sleep(Duration::from_millis(7990)).await;
        assert_eq!(counts(), [0, 0, 0]);
        sleep(Duration::from_millis(50)).await;
        assert_eq!(counts(), [0, 1, 0]);
        sleep(secs(1)).await;
        assert_eq!(counts(), [1, 1, 0]);
        sleep(secs(100)).await;
        roll.strike_off(listed[0]);
        roll.wake_all();
        assert_eq!(counts(), [1, 2, 1]);
    }
}
