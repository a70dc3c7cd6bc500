//! An admitted client.

use std::sync::Arc;
use std::task::Waker;

use super::journal::Journal;
use crate::access::{Place, Visit};
use crate::address::Peer;
use crate::stats::{Ended, Stats};

/// What a listener hands over together with the stream of a client that it has let in: the client's place, its part of the
/// counts and of the log. A session keeps it to its end; dropping it releases everything, and counts the end.
#[derive(Debug)]
#[must_use = "dropping it frees the place"]
pub struct Admitted {
    peer: Peer,
    place: Place,
    visit: Visit,
    stats: Arc<Stats>,
    journal: Journal,
    end: Option<Ended>,
    /// Whether the client has sent anything.
    is_heard: bool,
}

impl Admitted {
    /// A client that comes from `peer` and has this place. It is counted from now on.
    pub fn new(peer: Peer, place: Place, stats: Arc<Stats>, journal: Journal) -> Self {
        stats.accepted.one();
        Self { peer, place, visit: Visit::none(), stats, journal, end: None, is_heard: false }
    }

    /// It counts for its source as well.
    pub(super) fn visiting(mut self, visit: Visit) -> Self {
        self.visit = visit;
        self
    }

    /// The client has sent something: at its end it does not give back what it took of the rates.
    pub fn heard(&mut self) {
        if !self.is_heard {
            self.is_heard = true;
            self.place.heard();
        }
    }

    /// The peer.
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// The name of the listener that let the client in.
    pub fn listener(&self) -> &Arc<str> {
        self.journal.listener()
    }

    /// The listener's part of the log.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The counters of the listener on this worker.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether another client has the place now, see [`Place::is_lost`].
    pub fn is_lost(&self, waker: &Waker) -> bool {
        self.place.is_lost(waker)
    }

    /// The client has stated its id: it keeps its place while the id is looked up.
    pub fn says_who(&mut self) {
        self.heard();
        self.place.says_who();
    }

    /// The client is no longer a stranger. A protocol without ids calls it immediately.
    pub fn settle(&mut self) {
        self.heard();
        self.place.settle();
    }

    /// The session ends for this reason. The last call counts; without any, the session has crashed.
    pub const fn ended(&mut self, reason: Ended) {
        self.end = Some(reason);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.stats.end(self.end.unwrap_or(Ended::Crashed));
        if !self.is_heard {
            self.visit.give_back_token();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Permits, Places};
    use crate::stats::Totals;

    #[test]
    fn its_drop_counts_the_end_once_and_frees_the_place() {
        let (places, stats) = (Places::new(Permits::new(9), 9), Arc::new(Stats::default()));
        let peer = Peer::Unix { pid: 1, uid: 2 };
        let admit = || {
            let (place, stats) = (places.enter().unwrap(), Arc::clone(&stats));
            Admitted::new(peer, place, stats, "test".into())
        };
        let (mut first, second) = (admit(), admit());
        first.settle();
        first.ended(Ended::IdleTimeout);
        assert_eq!((Totals::of([&*stats]).sessions, places.permits().in_use()), (2, 2));
        drop((first, second));
        let totals = Totals::of([&*stats]);
        assert_eq!((totals.accepted, totals.sessions, places.permits().in_use()), (2, 0, 0));
        assert_eq!((totals.ended(Ended::IdleTimeout), totals.ended(Ended::Crashed)), (1, 1));
    }
}
