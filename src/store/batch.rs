//! The interface of a store: its input and its answers.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use crate::access::{Budget, Held};
use crate::protocol::{ClientId, Mode, Reply};

/// Stores data from devices.
pub trait Store: Send + Sync + 'static {
    /// Stores the records of one read, all from one device and in order. The batch is left empty; its memory may be
    /// kept. It must not block, because it runs on the session's thread.
    fn store(&self, origin: &Origin, batch: &mut Batch) -> Storing;

    /// Starts the store's background work, for the store's actor to supervise. Only one runs at a time: after a fault,
    /// the next is started. A store that answers immediately has none.
    fn work(&self) -> Option<Work> {
        None
    }

    /// No more batches follow: pending ones must be answered, then the work must end.
    fn finish(&self) {}
}

/// Background work. Resolves when it has ended, as requested or by a fault.
pub type Work = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// The result of a batch, now or later.
pub enum Storing {
    /// The result is known now.
    Now(Result<(), NotStored>),
    /// The result will be known later. A session that ends drops this, which does not cancel the batch.
    Later(Answer),
}

/// The pending answer to a batch.
#[derive(Debug)]
pub struct Answer(oneshot::Receiver<Result<(), NotStored>>);

/// The sender of the answer to a batch. If it is dropped without an answer, nothing of the batch is safe.
#[derive(Debug)]
pub struct Promise(oneshot::Sender<Result<(), NotStored>>);

/// A sender and the pending answer.
pub fn promise() -> (Promise, Answer) {
    let (promise, answer) = oneshot::channel();
    (Promise(promise), Answer(answer))
}

impl Promise {
    /// Answers. The session may be gone.
    pub fn keep(self, stored: Result<(), NotStored>) {
        let _ = self.0.send(stored);
    }
}

impl Future for Answer {
    type Output = Result<(), NotStored>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(answered.unwrap_or_else(|_| Err(NotStored("the store failed on this batch".into()))))
    }
}

/// Nothing of the batch is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotStored(pub String);

/// The origin of records.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The device.
    pub client: ClientId,
    /// Its address.
    pub peer: SocketAddr,
    /// The listener that received it.
    pub listener: Arc<str>,
    /// Session or one-shot.
    pub mode: Mode,
}

/// Overhead of a batch: itself, its origin, its place in the queue and its answer.
const ENTRY: usize = 256;

/// The data of several SENDs, in order, in one buffer.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    held: Option<Held>,
}

impl Batch {
    /// Appends the data of a SEND.
    pub fn push(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        self.ends.push(self.bytes.len());
    }

    /// The data of each SEND.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, &end)| self.bytes.get(start..end))
    }

    /// The number of SENDs.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the batch is empty.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Total bytes of data.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Its cost in the budget: its memory, and the longest answers that will replace it.
    pub fn cost(&self) -> usize {
        match self.len() {
            0 => 0,
            records => ENTRY + self.capacity() + records * Reply::SendFailure.word().len(),
        }
    }

    /// Holds its part of `budget` until the batch is cleared or dropped.
    pub fn hold(&mut self, budget: &Budget) {
        self.held = Some(budget.hold(self.cost()));
    }

    /// Removes the data and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.held = None;
    }

    /// Releases memory that the data does not need.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_batch_gives_back_what_was_put_in(data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let mut batch = Batch::default();
            for round in 0..2 {
                data.iter().for_each(|data| batch.push(data));
                prop_assert_eq!(batch.len(), data.len(), "round {}", round);
                prop_assert_eq!(batch.bytes(), data.iter().map(Vec::len).sum::<usize>());
                prop_assert!(batch.iter().eq(data.iter().map(Vec::as_slice)));
                batch.clear();
                prop_assert!(batch.is_empty());
            }
        }
    }
}
