//! Answers to batches: from the thread of a store to the thread of a session, one wake-up for all answers of a transaction.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::batch::Batch;
use super::outbox::Entrusted;

/// Nothing of the batch is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotStored(pub String);

/// The obligation to answer a batch. If it is dropped without an answer, nothing of the batch is safe.
#[derive(Debug)]
pub struct Promise {
    inbox: Option<Arc<Inbox>>,
    slot: usize,
}

/// The answer to a batch, and its memory.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) slot: usize,
    pub(super) stored: Result<(), NotStored>,
    pub(super) batch: Batch,
}

/// The answers on their way to one thread.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    answers: Vec<Answered>,
    /// The task that takes the answers, while it sleeps.
    task: Option<Waker>,
}

impl Inbox {
    /// Takes all answers into `taken`, which is empty. The task of `waker` is woken by the next one.
    pub(super) fn take(&self, taken: &mut Vec<Answered>, waker: &Waker) {
        let mut waiting = self.waiting();
        std::mem::swap(&mut waiting.answers, taken);
        waiting.task = Some(waker.clone());
    }

    fn put(&self, answers: &mut Vec<Answered>) {
        let mut waiting = self.waiting();
        waiting.answers.append(answers);
        let task = waiting.task.take();
        drop(waiting);
        task.into_iter().for_each(Waker::wake);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Promise {
    pub(super) fn new(inbox: &Arc<Inbox>, slot: usize) -> Self {
        Self { inbox: Some(Arc::clone(inbox)), slot }
    }

    /// Answers. The session may be gone.
    pub fn keep(mut self, stored: Result<(), NotStored>) {
        self.answer(stored);
    }

    fn answer(&mut self, stored: Result<(), NotStored>) {
        if let Some(inbox) = self.inbox.take() {
            inbox.put(&mut vec![Answered { slot: self.slot, stored, batch: Batch::default() }]);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.answer(Err(NotStored("the store failed on this batch".into())));
    }
}

/// Answers batches, and gives their memory back.
pub fn answer_all(batches: impl IntoIterator<Item = Entrusted>, stored: &Result<(), NotStored>) {
    // There are as many inboxes as workers.
    let mut inboxes: Vec<(Arc<Inbox>, Vec<Answered>)> = Vec::new();
    for Entrusted { mut batch, mut promise, .. } in batches {
        // First, so that an answered device no longer holds budget.
        batch.clear();
        let Some(inbox) = promise.inbox.take() else { continue };
        let answered = Answered { slot: promise.slot, stored: stored.clone(), batch };
        match inboxes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &inbox)) {
            Some((_, answers)) => answers.push(answered),
            None => inboxes.push((inbox, vec![answered])),
        }
    }
    inboxes.iter_mut().for_each(|(inbox, answers)| inbox.put(answers));
}
