//! A limit on the rate of connections, which listeners may share. Connections beyond the rate wait for their turn, or
//! are refused: the caller decides.
//!
//! A turn is a value: it is spent with its connection. A dropped turn goes back to the limit, within the bounds that
//! [`bucket`](super::bucket) describes, so a peer that is gone before it sent anything does not use up the rate.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::bucket::{Bucket, RateLimit};
use super::epoch::Epoch;

/// A limit and its current use. A clone is a handle to the same limit.
#[derive(Clone, Debug)]
pub struct Rate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    epoch: Epoch,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: RateLimit,
    bucket: Bucket,
}

impl Rate {
    /// `per_second` connections, and after a quiet time `burst` more at once.
    pub fn new(per_second: NonZeroU32, burst: u32) -> Self {
        let limit = RateLimit::new(per_second, burst);
        let state = State { limit, bucket: Bucket::full(limit, 0) };
        Self(Arc::new(Shared { epoch: Epoch::default(), state: Mutex::new(state) }))
    }

    /// The next free turn; it may be due later. The number of turns that wait is up to the callers: an acceptor has one,
    /// and keeps it until it is due.
    pub fn reserve(&self, now: Instant) -> Turn {
        let now = self.0.epoch.nanos(now);
        let State { limit, bucket } = &mut *self.lock();
        let due = bucket.reserve(*limit, now);
        let due = NonZeroU64::new(due).filter(|_| due > now).unwrap_or(AT_ONCE);
        Turn { rate: Some(self.clone()), due }
    }

    /// A turn that is due now. `None` if the rate is used up.
    pub fn try_now(&self, now: Instant) -> Option<Turn> {
        let now = self.0.epoch.nanos(now);
        let State { limit, bucket } = &mut *self.lock();
        bucket.try_take(*limit, now).then(|| Turn { rate: Some(self.clone()), due: AT_ONCE })
    }

    /// Replaces the limit. What was spent remains spent: a larger burst has to be earned. Turns keep their times.
    pub fn set(&self, per_second: NonZeroU32, burst: u32, now: Instant) {
        let now = self.0.epoch.nanos(now);
        let State { limit, bucket } = &mut *self.lock();
        let new = RateLimit::new(per_second, burst);
        bucket.change(*limit, new, now);
        *limit = new;
    }

    /// The limit.
    pub fn limit(&self) -> RateLimit {
        self.lock().limit
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What happens to a connection beyond the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// It waits in the backlog, which the kernel bounds. Waiting costs the server nothing.
    Wait,
    /// It is closed.
    Refuse,
}

/// The turn of one connection. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "dropping it gives the turn back"]
pub struct Turn {
    /// `None` once it is spent.
    rate: Option<Rate>,
    /// Nanoseconds since the first use of the limit, or [`AT_ONCE`].
    due: NonZeroU64,
}

/// A turn that is due when it is reserved. It is the first nanosecond, which is past for every turn that waits.
const AT_ONCE: NonZeroU64 = NonZeroU64::MIN;

impl Turn {
    /// When the connection may be admitted. `None` means at once.
    pub fn due(&self) -> Option<Instant> {
        let rate = self.rate.as_ref().filter(|_| self.due > AT_ONCE)?;
        rate.0.epoch.instant(self.due.get())
    }

    /// The connection counts.
    pub fn spend(mut self) {
        self.rate = None;
    }

    /// The connection does not count: it ended before any data.
    pub fn give_back(self) {}
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(rate) = self.rate.take() {
            let State { limit, bucket } = &mut *rate.lock();
            bucket.give_back(*limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    const _: () = assert!(size_of::<Option<Turn>>() <= 16);

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate::new(NonZeroU32::new(per_second).unwrap(), burst)
    }

    /// Spends turns at once, as many as there are.
    fn take_all(rate: &Rate, now: Instant) -> usize {
        (0..100).filter_map(|_| rate.try_now(now)).map(Turn::spend).count()
    }

    #[test]
    fn turns_are_due_evenly_after_the_burst() {
        let (rate, now) = (rate(4, 2), Instant::now());
        let turns: Vec<_> = (0..6).map(|_| rate.clone().reserve(now)).collect();
        let due: Vec<_> =
            turns.iter().map(|turn| turn.due().map_or(Duration::ZERO, |due| due - now)).collect();
        assert_eq!(due, [0, 0, 0, 250, 500, 750].map(Duration::from_millis));
        turns.into_iter().for_each(Turn::spend);
    }

    #[test]
    fn a_rate_that_refuses_does_not_make_anything_wait() {
        let (rate, now) = (rate(2, 1), Instant::now());
        assert_eq!(take_all(&rate, now), 2);
        assert_eq!(take_all(&rate, now + Duration::from_millis(499)), 0);
        assert_eq!(take_all(&rate, now + Duration::from_millis(500)), 1);
        assert_eq!(take_all(&rate, now + Duration::from_secs(3600)), 2);
    }

    #[test]
    fn a_turn_that_is_dropped_or_given_back_is_the_next_one() {
        let (rate, now) = (rate(1, 0), Instant::now());
        drop(rate.try_now(now).unwrap());
        let turn = rate.reserve(now);
        assert_eq!(turn.due(), None);
        turn.give_back();
        // The pace of returned turns is the rate, too.
        assert_eq!(take_all(&rate, now), 0);
        assert_eq!(take_all(&rate, now + Duration::from_secs(1)), 1);
    }

    #[test]
    fn a_new_limit_applies_at_once_and_forgets_nothing() {
        let (rate, now) = (rate(1, 9), Instant::now());
        assert_eq!(take_all(&rate, now), 10);
        rate.set(NonZeroU32::new(10).unwrap(), 50, now);
        assert_eq!((take_all(&rate, now), rate.limit().burst), (0, 50));
        assert_eq!(take_all(&rate, now + Duration::from_millis(300)), 3);
    }

    #[test]
    fn threads_get_exactly_what_the_rate_gives() {
        const THREADS: usize = 10;
        const EACH: usize = 1000;
        let (rate, now) = (rate(1000, 500), Instant::now());
        let take = || -> Vec<_> {
            let turns = (0..EACH).map(|_| rate.reserve(now));
            turns.map(|turn| (turn.due().unwrap_or(now) - now, turn.spend()).0).collect()
        };
        let mut due: Vec<Duration> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        due.sort();
        let exact = |n: usize| Duration::from_millis(n.saturating_sub(500) as u64);
        assert!(due.iter().enumerate().all(|(n, due)| *due == exact(n)), "{due:?}");
    }
}
