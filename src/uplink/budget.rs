//! What all sessions together may have unanswered. Whoever takes bytes in holds a part of it until they are answered; an idle
//! session holds nothing.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The bound, and how much of it is in use. A clone is the same.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    limit: usize,
    used: AtomicUsize,
    somebody_waits: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    wakers: Vec<Waker>,
    /// How often they were woken, all at once.
    rounds: u64,
}

/// A place among those who wait, until all of them are woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket(Option<u64>);

impl Budget {
    /// A bound of so many bytes. It is kept by not reading on: what was read before goes beyond it.
    pub fn new(limit: usize) -> Self {
        let waiting = Mutex::default();
        Self(Arc::new(Shared { limit, used: AtomicUsize::new(0), somebody_waits: false.into(), waiting }))
    }

    /// Bytes that are held.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::SeqCst)
    }

    /// Whether more may be read.
    pub fn has_room(&self) -> bool {
        self.used() < self.0.limit
    }

    /// Wakes `waker` once, when there is room again; a `ticket` that still holds is not given twice. It is not woken at the
    /// first byte: so many wait that they should find some.
    pub fn wake_when_there_is_room(&self, waker: &Waker, ticket: &mut Ticket) {
        let mut waiting = self.waiting();
        let next = Ticket(Some(waiting.rounds));
        if std::mem::replace(ticket, next) == next {
            return;
        }
        waiting.wakers.push(waker.clone());
        drop(waiting);
        self.0.somebody_waits.store(true, Ordering::SeqCst);
        // What was given back before the flag was up woke nobody.
        self.wake_if_there_is_room();
    }

    fn wake_if_there_is_room(&self) {
        let enough = self.0.limit - self.0.limit / 8;
        if self.used() >= enough || !self.0.somebody_waits.swap(false, Ordering::SeqCst) {
            return;
        }
        let mut waiting = self.waiting();
        waiting.rounds += 1;
        let wakers = std::mem::take(&mut waiting.wakers);
        drop(waiting);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Budget({} of {})", self.used(), self.0.limit)
    }
}

/// A part of the budget: dropped, it is given back.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    bytes: usize,
}

impl Held {
    /// Holds nothing yet.
    pub const fn nothing(budget: Budget) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Holds so much from now on.
    pub fn raise_to(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 {
            self.budget.0.used.fetch_add(more, Ordering::SeqCst);
            self.bytes = bytes;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.0.used.fetch_sub(self.bytes, Ordering::SeqCst);
            self.budget.wake_if_there_is_room();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn hold(budget: &Budget, bytes: usize) -> Held {
        let mut held = Held::nothing(budget.clone());
        held.raise_to(bytes);
        held
    }

    #[test]
    fn what_is_held_is_given_back_once() {
        let budget = Budget::new(100);
        let mut held = hold(&budget, 40);
        held.raise_to(99);
        held.raise_to(50);
        assert_eq!((budget.used(), budget.has_room()), (99, true));
        let more = hold(&budget, 1);
        assert!(!budget.has_room());
        drop(held);
        assert_eq!((budget.used(), budget.has_room()), (1, true));
        drop(more);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn whoever_waits_is_woken_once_and_not_for_the_first_byte() {
        let (budget, woken) = (Budget::new(80), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let count = || woken.0.load(Ordering::SeqCst);
        let (most, some, few) = (hold(&budget, 60), hold(&budget, 15), hold(&budget, 5));
        let [mut first, mut second] = [Ticket::default(); 2];
        budget.wake_when_there_is_room(&waker, &mut first);
        budget.wake_when_there_is_room(&waker, &mut first);
        budget.wake_when_there_is_room(&waker, &mut second);
        drop(few);
        assert_eq!((budget.has_room(), count()), (true, 0));
        drop(some);
        assert_eq!(count(), 2);
        drop(most);
        assert_eq!(count(), 2);
        budget.wake_when_there_is_room(&waker, &mut first);
        assert_eq!(count(), 3, "there is room already");
    }
}
