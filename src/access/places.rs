//! The places of a listener, and the limit on strangers: connections that have not stated an id.
//!
//! When a new connection needs a place, the oldest silent stranger loses its own. So peers that connect and stay silent
//! never block other devices, in any number. Each place takes a permit of the listener, and one of the server if the
//! listeners share a limit; at either limit, a listener makes room among its own strangers only.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::permit::{Permit, Permits};
use super::rate::Turn;

/// The places of a listener. A clone is a handle to the same places.
#[derive(Clone)]
pub struct Places(Arc<Shared>);

struct Shared {
    permits: Permits,
    /// The limit of the server, over all its listeners.
    server: Option<Permits>,
    strangers: Mutex<Strangers>,
}

#[derive(Default)]
struct Strangers {
    /// The maximum number of strangers.
    max: usize,
    /// Strangers that have not stated an id, oldest first.
    silent: BTreeMap<u64, Silent>,
    /// The number of strangers that wait for the result of their look-up.
    waiting: usize,
    next: u64,
}

struct Silent {
    claim: Claim,
    waker: Option<Waker>,
    /// Until it has sent something, and if the rate of connections is limited. Dropped, it goes back to the rate.
    turn: Option<Turn>,
}

/// What a place takes. Dropping it releases both.
#[derive(Debug)]
struct Claim {
    _listener: Permit,
    _server: Option<Permit>,
}

impl Places {
    /// One place per permit; strangers have at most `max_strangers` of them.
    pub fn new(permits: Permits, max_strangers: usize) -> Self {
        Self::with(None, permits, max_strangers)
    }

    /// As [`Places::new`], where each place takes one of the permits of `server`, too.
    pub fn within(server: Permits, permits: Permits, max_strangers: usize) -> Self {
        Self::with(Some(server), permits, max_strangers)
    }

    fn with(server: Option<Permits>, permits: Permits, max_strangers: usize) -> Self {
        let strangers = Strangers { max: max_strangers, ..Strangers::default() };
        Self(Arc::new(Shared { permits, server, strangers: Mutex::new(strangers) }))
    }

    /// A place for a stranger, if needed that of an older one. `None` if no silent stranger can be replaced, or if a
    /// lowered limit is still exceeded.
    pub fn enter(&self) -> Option<Place> {
        self.enter_with(None)
    }

    /// The same for a connection that has a turn of a rate. The turn is spent when something is heard of it, and goes back
    /// to the rate if it ends before.
    pub fn enter_with(&self, turn: Option<Turn>) -> Option<Place> {
        let mut strangers = self.lock();
        if self.0.is_exceeded() {
            return None;
        }
        let claim = match strangers.make_room()? {
            Some(claim) => claim,
            None => self.0.claim().or_else(|| strangers.crowd_out())?,
        };
        let number = strangers.next;
        strangers.next += 1;
        strangers.silent.insert(number, Silent { claim, waker: None, turn });
        drop(strangers);
        Some(Place { places: self.clone(), standing: Standing::Silent(number) })
    }

    /// Replaces the maximum number of strangers. If there are more, the oldest silent ones lose their places when the
    /// next connection needs one.
    pub fn set_max_strangers(&self, max: usize) {
        self.lock().max = max;
    }

    /// The permits behind the places.
    pub fn permits(&self) -> &Permits {
        &self.0.permits
    }

    /// The number of strangers with a place.
    pub fn strangers(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Strangers> {
        self.0.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn claim(&self) -> Option<Claim> {
        let listener = self.permits.try_acquire()?;
        let server = match &self.server {
            Some(server) => Some(server.try_acquire()?),
            None => None,
        };
        Some(Claim { _listener: listener, _server: server })
    }

    fn is_exceeded(&self) -> bool {
        self.permits.is_exceeded() || self.server.as_ref().is_some_and(Permits::is_exceeded)
    }
}

impl Strangers {
    fn len(&self) -> usize {
        self.silent.len() + self.waiting
    }

    /// Makes room for one more stranger among the strangers. The inner value is what the last one that left had; `None`
    /// if there was room, the outer `None` if there can be none.
    fn make_room(&mut self) -> Option<Option<Claim>> {
        if self.waiting >= self.max {
            return None;
        }
        let mut claim = None;
        while self.len() >= self.max {
            claim = self.crowd_out();
        }
        Some(claim)
    }

    fn crowd_out(&mut self) -> Option<Claim> {
        let (_, Silent { claim, waker, turn: _ }) = self.silent.pop_first()?;
        waker.into_iter().for_each(Waker::wake);
        Some(claim)
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
    Waiting(Claim),
    Settled(#[expect(dead_code, reason = "it is given back by its drop")] Claim),
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

    /// The stranger has sent something.
    pub fn heard(&self) {
        let Standing::Silent(number) = self.standing else { return };
        let turn = self.places.lock().silent.get_mut(&number).and_then(|silent| silent.turn.take());
        turn.into_iter().for_each(Turn::spend);
    }

    /// The stranger has stated its id: it keeps the place during the look-up.
    pub fn says_who(&mut self) {
        let Standing::Silent(number) = self.standing else { return };
        let mut strangers = self.places.lock();
        if let Some(Silent { claim, turn, .. }) = strangers.silent.remove(&number) {
            strangers.waiting += 1;
            turn.into_iter().for_each(Turn::spend);
            drop(strangers);
            self.standing = Standing::Waiting(claim);
        }
    }

    /// The connection is no longer a stranger.
    pub fn settle(&mut self) {
        self.says_who();
        match std::mem::replace(&mut self.standing, Standing::Gone) {
            Standing::Waiting(claim) => {
                self.places.lock().waiting -= 1;
                self.standing = Standing::Settled(claim);
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
    fn only_strangers_lose_their_places_when_all_are_taken() {
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
    fn connections_whose_id_is_being_looked_up_count_as_strangers() {
        let places = Places::new(Permits::new(10), 1);
        let mut asks = places.enter().unwrap();
        asks.says_who();
        assert!(places.enter().is_none());
        asks.settle();
        assert!(places.enter().is_some());
    }

    #[test]
    fn a_listener_makes_room_for_the_server_among_its_own_strangers() {
        let server = Permits::new(2);
        let [one, other] = [(); 2].map(|()| Places::within(server.clone(), Permits::new(2), 2));
        let stranger = one.enter().unwrap();
        let mut known = other.enter().unwrap();
        known.settle();
        assert!(other.enter().is_none());
        assert_eq!((other.permits().in_use(), server.in_use()), (1, 2));
        let newer = one.enter().unwrap();
        assert_eq!((is_lost(&stranger), is_lost(&newer), server.in_use()), (true, false, 2));
        drop(known);
        let _second = other.enter().unwrap();
        drop((stranger, newer));
        assert_eq!((one.permits().in_use(), server.in_use()), (0, 1));
    }

    #[test]
    fn a_lowered_limit_closes_nothing_and_admits_nothing_until_enough_left() {
        let server = Permits::new(3);
        let places = Places::within(server.clone(), Permits::new(3), 3);
        let [first, second, third] = [(); 3].map(|()| places.enter().unwrap());
        for limit in [&server, places.permits()] {
            limit.set_max(2);
            assert!(places.enter().is_none());
            limit.set_max(3);
        }
        server.set_max(2);
        assert!(!is_lost(&first) && !is_lost(&second));
        drop(third);
        let _newer = places.enter().unwrap();
        assert_eq!((is_lost(&first), is_lost(&second), server.in_use()), (true, false, 2));
    }

    #[test]
    fn fewer_strangers_remain_once_a_place_is_needed() {
        let places = Places::new(Permits::new(10), 4);
        let mut asks = places.enter().unwrap();
        asks.says_who();
        let silent = [(); 3].map(|()| places.enter().unwrap());
        places.set_max_strangers(1);
        assert!(places.enter().is_none());
        assert!(silent.iter().all(|place| !is_lost(place)));
        places.set_max_strangers(3);
        let _newer = places.enter().unwrap();
        assert_eq!(silent.each_ref().map(is_lost), [true, true, false]);
        assert_eq!((places.strangers(), places.permits().in_use()), (3, 3));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Enter,
        SaysWho(usize),
        Settle(usize),
        Leave(usize),
        SetMax(usize),
        SetServer(usize),
        SetStrangers(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Enter),
            2 => any::<usize>().prop_map(Step::SaysWho),
            2 => any::<usize>().prop_map(Step::Settle),
            2 => any::<usize>().prop_map(Step::Leave),
            1 => (0..5usize).prop_map(Step::SetMax),
            1 => (0..5usize).prop_map(Step::SetServer),
            1 => (0..5usize).prop_map(Step::SetStrangers),
        ]
    }

    proptest! {
        /// Places are never lost or used twice, each kept place is counted by both limits, and a place that is given
        /// keeps within all limits.
        #[test]
        fn places_add_up(start in (1..5usize, 1..5usize, 1..5usize), steps in prop::collection::vec(step(), 0..80)) {
            let (mut max, mut max_server, mut max_strangers) = start;
            let server = Permits::new(max_server);
            let places = Places::within(server.clone(), Permits::new(max), max_strangers);
            let mut out: Vec<Place> = Vec::new();
            let kept = |out: &[Place]| out.iter().filter(|place| !is_lost(place)).count();
            for step in steps {
                let (len, before) = (out.len().max(1), kept(&out));
                match step {
                    Step::Enter => {
                        let place = places.enter();
                        let is_within = kept(&out) < max.min(max_server) && places.strangers() <= max_strangers;
                        let is_right = if place.is_some() { is_within } else { kept(&out) == before };
                        prop_assert!(is_right);
                        out.extend(place);
                    }
                    Step::SaysWho(which) => out.get_mut(which % len).into_iter().for_each(Place::says_who),
                    Step::Settle(which) => out.get_mut(which % len).into_iter().for_each(Place::settle),
                    Step::Leave(which) if which % len < out.len() => drop(out.swap_remove(which % len)),
                    Step::Leave(_) => {}
                    Step::SetMax(new) => (max, _) = (new, places.permits().set_max(new)),
                    Step::SetServer(new) => (max_server, _) = (new, server.set_max(new)),
                    Step::SetStrangers(new) => (max_strangers, _) = (new, places.set_max_strangers(new)),
                }
                prop_assert_eq!((places.permits().in_use(), server.in_use()), (kept(&out), kept(&out)));
            }
            drop(out);
            prop_assert_eq!((places.permits().in_use(), server.in_use(), places.strangers()), (0, 0, 0));
        }
    }

    #[test]
    fn a_place_takes_little_memory() {
        assert!(size_of::<Place>() <= 32, "{}", size_of::<Place>());
    }
}
