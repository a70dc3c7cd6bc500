//! The places of a listener, and the limit on strangers: connections that have not stated an id.
//!
//! When a new connection needs a place, the oldest silent stranger loses its own. So peers that connect and stay silent
//! never block other devices, in any number.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::permit::{Permit, Permits};

/// The places of a listener. A clone is a handle to the same places.
#[derive(Clone)]
pub struct Places(Arc<Shared>);

struct Shared {
    permits: Permits,
    max_strangers: AtomicUsize,
    strangers: Mutex<Strangers>,
}

#[derive(Default)]
struct Strangers {
    /// Strangers that have not stated an id, oldest first.
    silent: BTreeMap<u64, Silent>,
    /// The number of strangers that wait for the result of their look-up.
    waiting: usize,
    next: u64,
}

struct Silent {
    permit: Permit,
    waker: Option<Waker>,
}

impl Places {
    /// One place per permit; strangers have at most `max_strangers` of them.
    pub fn new(permits: Permits, max_strangers: usize) -> Self {
        Self(Arc::new(Shared { permits, max_strangers: max_strangers.into(), strangers: Mutex::default() }))
    }

    /// A place for a stranger, if needed that of an older one. `None` if no silent stranger can be replaced.
    pub fn enter(&self) -> Option<Place> {
        let Shared { permits, max_strangers, .. } = &*self.0;
        let mut strangers = self.lock();
        let has_room = strangers.silent.len() + strangers.waiting < max_strangers.load(Ordering::Relaxed);
        let permit = if has_room { permits.try_acquire() } else { None };
        let permit = match permit {
            Some(permit) => permit,
            None => strangers.crowd_out()?,
        };
        let number = strangers.next;
        strangers.next += 1;
        strangers.silent.insert(number, Silent { permit, waker: None });
        drop(strangers);
        Some(Place { places: self.clone(), standing: Standing::Silent(number) })
    }

    /// Changes the maximum number of strangers. Those beyond a lower one stay.
    pub fn set_max_strangers(&self, max_strangers: usize) {
        self.0.max_strangers.store(max_strangers, Ordering::Relaxed);
    }

    /// The permits behind the places.
    pub fn permits(&self) -> &Permits {
        &self.0.permits
    }

    /// The number of strangers with a place.
    pub fn strangers(&self) -> usize {
        let strangers = self.lock();
        strangers.silent.len() + strangers.waiting
    }

    fn lock(&self) -> MutexGuard<'_, Strangers> {
        self.0.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Strangers {
    fn crowd_out(&mut self) -> Option<Permit> {
        let (_, Silent { permit, waker }) = self.silent.pop_first()?;
        waker.into_iter().for_each(Waker::wake);
        Some(permit)
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Places({:?}, {} strangers)", self.0.permits, self.strangers())
    }
}

/// The place of one connection. Dropping it frees the place.
#[derive(Debug)]
#[must_use = "dropping it frees the place"]
pub struct Place {
    places: Places,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Silent(u64),
    Waiting(Permit),
    Settled(#[expect(dead_code, reason = "it is given back by its drop")] Permit),
    Gone,
}

impl Place {
    /// Whether another connection has the place now. Until then, `waker` is woken when that happens.
    pub fn is_lost(&self, waker: &Waker) -> bool {
        let Standing::Silent(number) = self.standing else { return false };
        match self.places.lock().silent.get_mut(&number) {
            Some(silent) => {
                if silent.waker.as_ref().is_none_or(|old| !old.will_wake(waker)) {
                    silent.waker = Some(waker.clone());
                }
                false
            }
            None => true,
        }
    }

    /// The stranger has stated its id: it keeps the place during the look-up.
    pub fn says_who(&mut self) {
        let Standing::Silent(number) = self.standing else { return };
        let mut strangers = self.places.lock();
        if let Some(Silent { permit, .. }) = strangers.silent.remove(&number) {
            strangers.waiting += 1;
            drop(strangers);
            self.standing = Standing::Waiting(permit);
        }
    }

    /// The connection is no longer a stranger.
    pub fn settle(&mut self) {
        self.says_who();
        match std::mem::replace(&mut self.standing, Standing::Gone) {
            Standing::Waiting(permit) => {
                self.places.lock().waiting -= 1;
                self.standing = Standing::Settled(permit);
            }
            other => self.standing = other,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.standing {
            Standing::Silent(number) => drop(self.places.lock().silent.remove(&number)),
            Standing::Waiting(_) => self.places.lock().waiting -= 1,
            Standing::Settled(_) | Standing::Gone => {}
        }
    }
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;
    use crate::access::woken::Woken;

    fn is_lost(place: &Place) -> bool {
        place.is_lost(Waker::noop())
    }

    #[test]
    fn the_oldest_silent_stranger_loses_its_place() {
        let places = Places::new(Permits::new(100), 2);
        let woken = Arc::new(Woken::default());
        let first = places.enter().unwrap();
        assert!(!first.is_lost(&Waker::from(Arc::clone(&woken))));
        let second = places.enter().unwrap();
        assert_eq!(woken.count(), 0);
        let third = places.enter().unwrap();
        assert_eq!((is_lost(&first), is_lost(&second), is_lost(&third)), (true, false, false));
        assert_eq!((woken.count(), places.permits().in_use(), places.strangers()), (1, 2, 2));
        drop((first, second, third));
        assert_eq!((places.permits().in_use(), places.strangers()), (0, 0));
    }

    #[test]
    fn strangers_make_room_where_all_places_are_taken_and_nobody_else_does() {
        let places = Places::new(Permits::new(3), 3);
        let mut known = places.enter().unwrap();
        known.settle();
        let mut asks = places.enter().unwrap();
        asks.says_who();
        let silent = places.enter().unwrap();
        let newer = places.enter().unwrap();
        assert_eq!((is_lost(&known), is_lost(&asks), is_lost(&silent)), (false, false, true));
        assert_eq!((places.permits().in_use(), places.strangers()), (3, 2));
        drop(newer);
        let mut last = places.enter().unwrap();
        last.settle();
        assert!(places.enter().is_none());
        drop(known);
        assert!(places.enter().is_some());
    }

    #[test]
    fn those_who_wait_for_their_answer_count_as_strangers() {
        let places = Places::new(Permits::new(10), 1);
        let mut asks = places.enter().unwrap();
        asks.says_who();
        assert!(places.enter().is_none());
        asks.settle();
        assert!(places.enter().is_some());
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Enter,
        SaysWho(usize),
        Settle(usize),
        Leave(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Enter),
            any::<usize>().prop_map(Step::SaysWho),
            any::<usize>().prop_map(Step::Settle),
            any::<usize>().prop_map(Step::Leave),
        ]
    }

    proptest! {
        /// Places are never lost or used twice, and each kept place is counted.
        #[test]
        fn places_add_up(max in 1..5usize, max_strangers in 1..5usize, steps in prop::collection::vec(step(), 0..80)) {
            let places = Places::new(Permits::new(max), max_strangers);
            let mut out: Vec<Place> = Vec::new();
            for step in steps {
                let len = out.len().max(1);
                match step {
                    Step::Enter => out.extend(places.enter()),
                    Step::SaysWho(which) => out.get_mut(which % len).into_iter().for_each(Place::says_who),
                    Step::Settle(which) => out.get_mut(which % len).into_iter().for_each(Place::settle),
                    Step::Leave(which) if which % len < out.len() => drop(out.swap_remove(which % len)),
                    Step::Leave(_) => {}
                }
                let kept = out.iter().filter(|place| !is_lost(place)).count();
                prop_assert_eq!(places.permits().in_use(), kept);
                prop_assert!(kept <= max && places.strangers() <= max_strangers.min(max));
            }
            drop(out);
            prop_assert_eq!((places.permits().in_use(), places.strangers()), (0, 0));
        }
    }
}
