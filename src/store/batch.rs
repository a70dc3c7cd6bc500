//! Batches: what a session hands over at once.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::access::{Budget, Held};
use crate::protocol::{ClientId, Mode, Reply};

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

    /// Takes the memory of an empty batch, if it has none itself.
    pub fn reuse(&mut self, empty: Self) {
        if self.capacity() == 0 {
            *self = empty;
        }
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
