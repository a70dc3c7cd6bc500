//! A shared memory budget. Each user of memory holds a part of it. If none is left, requests wait in a queue and are
//! granted in order.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The budget: its limit, and the bytes in use. A clone is a handle to the same budget.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    limit: usize,
    used: AtomicUsize,
    /// The length of `line`, readable without its lock.
    waiting: AtomicUsize,
    /// Bytes in use that are held by the waiting requests themselves.
    kept: AtomicUsize,
    line: Mutex<VecDeque<Arc<Place>>>,
}

/// A request in the queue.
struct Place {
    bytes: usize,
    /// Bytes that the waiting party holds.
    kept: AtomicUsize,
    state: Mutex<State>,
}

enum State {
    Waiting(Waker),
    /// The bytes are counted as in use for this request.
    Granted,
    /// The bytes belong to a [`Held`].
    Redeemed,
}

impl Budget {
    /// A budget of this many bytes. The limit applies to grants; memory that was taken before it was used up may exceed
    /// it.
    pub fn new(limit: usize) -> Self {
        let [used, waiting, kept] = [const { AtomicUsize::new(0) }; 3];
        Self(Arc::new(Shared { limit, used, waiting, kept, line: Mutex::default() }))
    }

    /// Bytes held.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::SeqCst)
    }

    /// Whether there is room and no request waits for it.
    pub fn has_room(&self) -> bool {
        self.used() < self.0.limit && self.0.waiting.load(Ordering::SeqCst) == 0
    }

    /// Requests `bytes`, behind all earlier requests. While pending, `ticket` is the place in the queue, and the task
    /// is woken when the request is granted. A request above the limit is granted when nothing else is held.
    pub fn poll_room(&self, bytes: usize, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<Held> {
        if ticket.is_none() {
            if self.has_room() {
                return Poll::Ready(self.hold(bytes));
            }
            *ticket = Some(self.queue(bytes, cx.waker().clone()));
            // Bytes released before the request was queued have granted nothing.
            self.grant();
        }
        match ticket.as_ref().is_some_and(|ticket| ticket.renew(cx.waker())) {
            true => Poll::Pending,
            false => Poll::Ready(ticket.take().map_or_else(|| self.hold(0), Ticket::redeem)),
        }
    }

    /// Holds `bytes` immediately, even above the limit.
    pub fn hold(&self, bytes: usize) -> Held {
        self.0.used.fetch_add(bytes, Ordering::SeqCst);
        Held { budget: self.clone(), bytes }
    }

    fn queue(&self, bytes: usize, waker: Waker) -> Ticket {
        let place =
            Arc::new(Place { bytes, kept: AtomicUsize::new(0), state: Mutex::new(State::Waiting(waker)) });
        let mut line = self.line();
        line.push_back(Arc::clone(&place));
        self.0.waiting.store(line.len(), Ordering::SeqCst);
        Ticket { budget: self.clone(), place }
    }

    /// Grants free bytes to the oldest requests.
    fn grant(&self) {
        if self.0.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut line = self.line();
        while line.front().is_some_and(|place| self.is_there(place.bytes))
            && let Some(place) = line.pop_front()
        {
            self.0.waiting.store(line.len(), Ordering::SeqCst);
            self.0.used.fetch_add(place.bytes, Ordering::SeqCst);
            self.0.kept.fetch_sub(place.kept.swap(0, Ordering::SeqCst), Ordering::SeqCst);
            if let State::Waiting(waker) = std::mem::replace(&mut *place.state(), State::Granted) {
                waker.wake();
            }
        }
    }

    /// Whether this many bytes can be granted. If the waiting parties hold all bytes in use, nothing else could be
    /// released, so the request is granted.
    fn is_there(&self, bytes: usize) -> bool {
        let used = self.used();
        used <= self.0.kept.load(Ordering::SeqCst) || used.saturating_add(bytes) <= self.0.limit
    }

    fn give_back(&self, bytes: usize) {
        if bytes > 0 {
            self.0.used.fetch_sub(bytes, Ordering::SeqCst);
            self.grant();
        }
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Arc<Place>>> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Budget({} of {})", self.used(), self.0.limit)
    }
}

impl Place {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue for room. Dropping it cancels the request.
pub struct Ticket {
    budget: Budget,
    place: Arc<Place>,
}

impl Ticket {
    /// Whether the request still waits; if so, `waker` replaces the earlier one.
    fn renew(&self, waker: &Waker) -> bool {
        match &mut *self.place.state() {
            State::Waiting(old) => {
                old.clone_from(waker);
                true
            }
            State::Granted | State::Redeemed => false,
        }
    }

    /// Sets the bytes of the budget that the waiting party holds.
    pub fn keeps(&self, bytes: usize) {
        let line = self.budget.line();
        if !matches!(*self.place.state(), State::Waiting(_)) {
            return;
        }
        let before = self.place.kept.swap(bytes, Ordering::SeqCst);
        self.budget.0.kept.fetch_add(bytes, Ordering::SeqCst);
        self.budget.0.kept.fetch_sub(before, Ordering::SeqCst);
        drop(line);
        self.budget.grant();
    }

    fn redeem(self) -> Held {
        *self.place.state() = State::Redeemed;
        Held { budget: self.budget.clone(), bytes: self.place.bytes }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if matches!(*self.place.state(), State::Redeemed) {
            return;
        }
        let mut line = self.budget.line();
        if matches!(*self.place.state(), State::Granted) {
            drop(line);
            self.budget.give_back(self.place.bytes);
        } else {
            line.retain(|place| !Arc::ptr_eq(place, &self.place));
            self.budget.0.kept.fetch_sub(self.place.kept.swap(0, Ordering::SeqCst), Ordering::SeqCst);
            self.budget.0.waiting.store(line.len(), Ordering::SeqCst);
            drop(line);
            // A smaller request may have waited behind it.
            self.budget.grant();
        }
    }
}

/// A part of the budget. Dropping it releases the bytes.
#[derive(Debug)]
#[must_use = "dropping it releases the bytes"]
pub struct Held {
    budget: Budget,
    bytes: usize,
}

impl Held {
    /// Bytes held.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets the held bytes, even above the limit.
    pub fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes > before {
            self.budget.0.used.fetch_add(bytes - before, Ordering::SeqCst);
        } else {
            self.budget.give_back(before - bytes);
        }
    }

    /// Whether it is a part of `budget`.
    pub fn is_of(&self, budget: &Budget) -> bool {
        Arc::ptr_eq(&self.budget.0, &budget.0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;
    use crate::access::woken::Woken;

    /// A requesting party.
    #[derive(Default)]
    struct Asker {
        ticket: Option<Ticket>,
        woken: Arc<Woken>,
    }

    impl Asker {
        fn ask(&mut self, budget: &Budget, bytes: usize) -> Option<Held> {
            let waker = Waker::from(Arc::clone(&self.woken));
            match budget.poll_room(bytes, &mut self.ticket, &Context::from_waker(&waker)) {
                Poll::Ready(held) => Some(held),
                Poll::Pending => None,
            }
        }

        fn woken(&self) -> usize {
            self.woken.count()
        }
    }

    #[test]
    fn held_bytes_are_released_once() {
        let budget = Budget::new(100);
        let mut held = budget.hold(40);
        held.set(99);
        assert_eq!((budget.used(), budget.has_room()), (99, true));
        held.set(50);
        let more = budget.hold(50);
        assert_eq!((budget.used(), budget.has_room()), (100, false));
        drop(held);
        assert_eq!((budget.used(), budget.has_room()), (50, true));
        drop(more);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn room_is_granted_in_the_order_of_requests() {
        let budget = Budget::new(100);
        let all = budget.hold(100);
        let [mut first, mut second, mut late] = <[Asker; 3]>::default();
        assert!(first.ask(&budget, 60).is_none() && second.ask(&budget, 60).is_none());
        drop(all);
        assert_eq!((first.woken(), second.woken(), budget.used()), (1, 0, 60));
        // There would be room for it, but a request waits.
        assert!(!budget.has_room() && late.ask(&budget, 10).is_none());
        let held = first.ask(&budget, 60).unwrap();
        assert!(second.ask(&budget, 60).is_none());
        drop(held);
        assert_eq!((second.woken(), late.woken(), budget.used()), (1, 1, 70));
        assert_eq!(second.ask(&budget, 60).unwrap().bytes(), 60);
        assert_eq!(late.ask(&budget, 10).unwrap().bytes(), 10);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_cancelled_request_does_not_block_the_others() {
        let budget = Budget::new(100);
        let half = budget.hold(50);
        let full = budget.hold(50);
        let [mut large, mut small, mut granted] = <[Asker; 3]>::default();
        assert!(large.ask(&budget, 90).is_none() && small.ask(&budget, 10).is_none());
        drop(full);
        assert_eq!((large.woken(), small.woken()), (0, 0));
        drop(large);
        assert_eq!(small.woken(), 1);
        assert!(granted.ask(&budget, 90).is_none() || budget.used() > 0);
        drop(small);
        drop(half);
        drop(granted);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_request_above_the_limit_is_granted_alone() {
        let budget = Budget::new(100);
        let one = budget.hold(100);
        let mut asker = Asker::default();
        assert!(asker.ask(&budget, 1000).is_none());
        drop(one);
        assert_eq!(asker.ask(&budget, 1000).unwrap().bytes(), 1000);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn waiting_parties_do_not_block_each_other() {
        let budget = Budget::new(100);
        let (one, two) = (budget.hold(60), budget.hold(60));
        let [mut first, mut second] = <[Asker; 2]>::default();
        assert!(first.ask(&budget, 10).is_none() && second.ask(&budget, 10).is_none());
        first.ticket.as_ref().unwrap().keeps(one.bytes());
        assert_eq!((first.woken(), second.woken()), (0, 0));
        second.ticket.as_ref().unwrap().keeps(two.bytes());
        assert_eq!((first.woken(), second.woken()), (1, 0));
        drop((first.ask(&budget, 10).unwrap(), one));
        assert_eq!(second.woken(), 1);
        drop((second.ask(&budget, 10).unwrap(), two));
        assert_eq!(budget.used(), 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask(usize, usize),
        GiveUp(usize),
        GiveBack(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..5usize, 1..60usize).prop_map(|(who, bytes)| Step::Ask(who, bytes)),
            (0..5usize).prop_map(Step::GiveUp),
            (0..5usize).prop_map(Step::GiveBack),
        ]
    }

    proptest! {
        /// In any order of steps, no bytes are lost, only the last immediate hold exceeds the limit, and every request
        /// is granted.
        #[test]
        fn no_byte_is_lost_and_no_request_is_forgotten(steps in prop::collection::vec(step(), 0..80)) {
            let budget = Budget::new(100);
            let mut askers: [Asker; 5] = Default::default();
            let mut held: [Option<Held>; 5] = Default::default();
            for step in steps {
                match step {
                    Step::Ask(who, bytes) if held[who].is_none() => held[who] = askers[who].ask(&budget, bytes),
                    Step::Ask(..) => {}
                    Step::GiveUp(who) => askers[who].ticket = None,
                    Step::GiveBack(who) => held[who] = None,
                }
                prop_assert!(budget.used() < 160);
            }
            held.iter_mut().for_each(|held| *held = None);
            for _ in 0..askers.len() {
                askers.iter_mut().filter(|asker| asker.ticket.is_some()).for_each(|asker| drop(asker.ask(&budget, 1)));
            }
            prop_assert!(askers.iter().all(|asker| asker.ticket.is_none()));
            prop_assert_eq!(budget.used(), 0);
        }
    }
}
