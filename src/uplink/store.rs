//! What a store of the uplink is given, and what it answers.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use crate::access::{Budget, Held};
use crate::protocol::{ClientId, Mode, Reply};

/// Takes what devices send.
pub trait Store: Send + Sync + 'static {
    /// Takes the records of one read, all of one device and in its order. The batch is left empty; its memory may be kept.
    /// It must not block: it is called on the session's own thread.
    fn store(&self, origin: &Origin, batch: &mut Batch) -> Storing;

    /// Starts what the store does beside that, for the uplink's actor to watch over. There is one at a time: when it has
    /// ended by a fault, the next is started. A store that answers at once has none.
    fn work(&self) -> Option<Work> {
        None
    }

    /// Nothing more will come: what was taken is to be answered, and then the work is to end.
    fn finish(&self) {}
}

/// Work that goes on beside the sessions. Resolves when it has ended: because it was to, or for a fault.
pub type Work = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// When it is known whether a batch is safe.
pub enum Storing {
    /// It is known at once.
    Now(Result<(), NotStored>),
    /// It will be known. The session drops this when it ends; that takes nothing back.
    Later(Answer),
}

/// The answer to a batch that is still to be stored.
#[derive(Debug)]
pub struct Answer(oneshot::Receiver<Result<(), NotStored>>);

/// Owes the answer to a batch. Dropped without one, nothing of the batch is safe.
#[derive(Debug)]
pub struct Promise(oneshot::Sender<Result<(), NotStored>>);

/// An answer, and the promise of it.
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
        Poll::Ready(answered.unwrap_or_else(|_| Err(NotStored("the store failed over it".into()))))
    }
}

/// Nothing of the batch is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotStored(pub String);

/// Where records come from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The device.
    pub client: ClientId,
    /// Its address.
    pub peer: SocketAddr,
    /// The listener that took it.
    pub listener: Arc<str>,
    /// Whether it had a session, or sent this one record.
    pub mode: Mode,
}

/// What a batch takes beside its records: itself, its origin, its place in the queue and its answer.
const ENTRY: usize = 256;

/// The data of some SENDs, in order, in one piece of memory.
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

    /// How many SENDs.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of data in all.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What it takes of a session's bound: its memory, and the longest answers that will take its place.
    pub fn cost(&self) -> usize {
        match self.len() {
            0 => 0,
            records => ENTRY + self.capacity() + records * Reply::SendFailure.word().len(),
        }
    }

    /// Holds its part of `budget`, until it is cleared or dropped.
    pub fn hold(&mut self, budget: &Budget) {
        self.held = Some(budget.hold(self.cost()));
    }

    /// Forgets the data and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.held = None;
    }

    /// Lets go of memory that the data does not need.
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
