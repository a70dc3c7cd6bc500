//! The queue from the sessions to the writer thread. The budget that the batches hold bounds it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::{Batch, Entrusted, Turn};

/// Batches that are not taken yet, oldest first.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Entrusted>,
    /// The thread sleeps; waking it costs a system call.
    is_awaited: bool,
    is_closed: bool,
    /// The number of threads so far.
    intakes: u64,
}

impl Queue {
    /// Adds the batches of a turn.
    pub(super) fn take_turn(&self, turn: Turn<'_>) {
        let mut waiting = self.waiting();
        turn.hand_over(|entrusted| waiting.batches.push_back(entrusted));
        if !waiting.batches.is_empty() && std::mem::take(&mut waiting.is_awaited) {
            drop(waiting);
            self.news.notify_all();
        }
    }

    /// Closes the queue: no more batches follow.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.news.notify_all();
    }

    /// The receiving end for a new thread. The earlier receiver gets no more batches.
    pub(super) fn open(self: &Arc<Self>) -> Intake {
        let mut waiting = self.waiting();
        waiting.intakes += 1;
        self.news.notify_all();
        Intake { queue: Arc::clone(self), number: waiting.intakes }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiving end of the queue.
pub(super) struct Intake {
    queue: Arc<Queue>,
    number: u64,
}

/// The result of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Batches have arrived.
    Batches,
    /// The wait timed out.
    Nothing,
    /// No more batches will arrive.
    End,
}

impl Intake {
    /// Waits for batches, with a timeout.
    pub(super) fn wait(&self, within: Duration) -> Next {
        let mut waiting = self.queue.waiting();
        if self.next(&waiting) == Next::Nothing {
            waiting.is_awaited = true;
            let woken = self.queue.news.wait_timeout(waiting, within);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.next(&waiting)
    }

    fn next(&self, waiting: &Waiting) -> Next {
        match waiting {
            _ if self.number != waiting.intakes => Next::End,
            waiting if !waiting.batches.is_empty() => Next::Batches,
            waiting if waiting.is_closed => Next::End,
            _ => Next::Nothing,
        }
    }

    /// Appends waiting batches to `taken` while there is `room`, and reduces `room` by their size. Returns whether
    /// there were any.
    pub(super) fn take(&self, taken: &mut Vec<Entrusted>, room: &mut Room) -> bool {
        let mut waiting = self.queue.waiting();
        let before = taken.len();
        while self.next(&waiting) == Next::Batches && room.is_some() {
            let oldest = waiting.batches.pop_front();
            oldest.iter().for_each(|entrusted| room.shrink(&entrusted.batch));
            taken.extend(oldest);
        }
        taken.len() > before
    }
}

/// Remaining capacity of a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Room {
    /// Room for the whole queue.
    pub(super) const UNLIMITED: Self = Self { records: usize::MAX, bytes: usize::MAX };

    /// Whether any room is left. The last batch may exceed it.
    pub(super) const fn is_some(&self) -> bool {
        self.records > 0 && self.bytes > 0
    }

    fn shrink(&mut self, by: &Batch) {
        self.records = self.records.saturating_sub(by.len());
        self.bytes = self.bytes.saturating_sub(by.bytes());
    }
}
