//! The queue in front of a database: it limits concurrent look-ups; the others wait for a turn, in order, up to a timeout.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::directory::Failed;

/// Look-ups that may wait. The timeout rejects more than that, unless the database is very fast.
const MAX_WAITING: usize = 50_000;

/// One turn of this many is reserved for ids that were found before.
const RESERVE: usize = 4;

/// The look-ups of one database.
pub(super) struct Queue {
    turns: Arc<Semaphore>,
    /// The turns of ids that the server has not found in the database yet: a flood of them leaves room for the
    /// others.
    strangers: Arc<Semaphore>,
    waiting: AtomicUsize,
    within: Duration,
}

/// A place among the look-ups in progress. It belongs to the query, which may outlive its caller.
pub(super) struct Turn {
    _turn: OwnedSemaphorePermit,
    _stranger: Option<OwnedSemaphorePermit>,
}

impl Queue {
    /// The queue of a database that answers `at_once` look-ups at a time. The others get a turn `within` this time, or none.
    pub(super) fn new(at_once: usize, within: Duration) -> Self {
        let strangers = at_once - at_once.div_ceil(RESERVE).min(at_once - 1);
        let [turns, strangers] = [at_once, strangers].map(|permits| Arc::new(Semaphore::new(permits)));
        Self { turns, strangers, waiting: AtomicUsize::new(0), within }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self, is_stranger: bool) -> Result<Turn, Failed> {
        let _place = Place::take(&self.waiting).ok_or(Failed::Overloaded)?;
        let turn = timeout(self.within, self.next(is_stranger)).await;
        turn.ok().flatten().ok_or(Failed::Overloaded)
    }

    /// The semaphores are never closed.
    async fn next(&self, is_stranger: bool) -> Option<Turn> {
        let stranger = match is_stranger {
            true => Some(Arc::clone(&self.strangers).acquire_owned().await.ok()?),
            false => None,
        };
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        Some(Turn { _turn: turn, _stranger: stranger })
    }
}

/// The place of a waiting look-up.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        // Without room, dropping it gives it back.
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_look_up_without_a_turn_in_time_is_an_overload() {
        let queue = Queue::new(1, SECOND);
        let turn = queue.turn(true).await.unwrap();
        assert!(matches!(queue.turn(true).await, Err(Failed::Overloaded)));
        drop(turn);
        assert!(queue.turn(true).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_unknown_ids_leaves_turns_to_the_others() {
        let queue = Queue::new(8, SECOND);
        let mut turns = Vec::new();
        while let Ok(turn) = queue.turn(true).await {
            turns.push(turn);
        }
        assert_eq!(turns.len(), 6);
        for _ in 0..2 {
            turns.push(queue.turn(false).await.unwrap());
        }
        assert!(queue.turn(false).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_beyond_the_maximum_of_waiting_ones_is_rejected_immediately() {
        let queue = Queue::new(1, SECOND);
        queue.waiting.store(MAX_WAITING - 1, Ordering::Relaxed);
        let turn = queue.turn(true).await.unwrap();
        let mut last = Box::pin(queue.turn(true));
        assert!(timeout(SECOND / 2, &mut last).await.is_err(), "it waits");
        let before = tokio::time::Instant::now();
        assert!(queue.turn(true).await.is_err());
        assert_eq!(before.elapsed(), Duration::ZERO, "the clock stands still");
        drop(turn);
        assert!(last.await.is_ok());
        assert_eq!(queue.waiting.load(Ordering::Relaxed), MAX_WAITING - 1);
    }
}
