//! What a store of the uplink is given, and what it answers.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use super::budget::{Budget, Held};
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
    Later(Pin<Box<dyn Future<Output = Result<(), NotStored>> + Send>>),
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

/// What a record takes beside its data: its end in the batch, then its answer.
const RECORD: usize = size_of::<usize>() + Reply::SendFailure.word().len();

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

    /// What it takes of a session's bound, and of the budget.
    pub fn cost(&self) -> usize {
        self.bytes.len() + self.ends.len() * RECORD
    }

    /// Holds its part of the budget, until it is cleared or dropped.
    pub fn hold(&mut self, budget: &Budget) {
        let cost = self.cost();
        self.held.get_or_insert_with(|| Held::nothing(budget.clone())).raise_to(cost);
    }

    /// Forgets the data and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.held = None;
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
