//! What a store of the uplink is given, and what it answers.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use crate::protocol::{ClientId, Mode};

/// Takes what devices send.
pub trait Store: Send + Sync + 'static {
    /// Takes the records of one read, all of one device and in its order. The batch is left empty; its memory may be kept.
    /// It must not block: it is called on the session's own thread.
    fn store(&self, origin: &Origin, batch: &mut Batch) -> Storing;
}

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

/// The data of some SENDs, in order, in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
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

    /// Forgets the data and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
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
