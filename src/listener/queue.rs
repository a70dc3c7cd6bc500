//! What an acceptor remembers of the client before: whether the next one has waited behind it.

use std::time::{Duration, Instant};

/// A timer may be late by this much. A client that comes within this time has waited.
const LATE: Duration = Duration::from_millis(3);

/// The clients of one socket, in their order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// When the turn of the client before was due, if that client waited for it.
    due: Option<Instant>,
}

impl Queue {
    /// A client has waited for its turn, which was due then, or had it at once.
    pub(super) const fn waited(&mut self, due: Option<Instant>) {
        self.due = due;
    }

    /// Since when the next client waits for a turn. Behind one that waited, it is not `now`: a late timer would lower the
    /// rate each time.
    pub(super) fn since(&self, now: Instant) -> Instant {
        self.due.filter(|due| now.saturating_duration_since(*due) <= LATE).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_right_behind_one_that_waited_has_waited_too() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert_eq!(queue.since(now), now);
        queue.waited(Some(now));
        assert_eq!(queue.since(now + LATE), now);
        let later = now + LATE * 2;
        assert_eq!(queue.since(later), later);
        queue.waited(None);
        assert_eq!(queue.since(now), now);
    }
}
