//! Batches: the records that a session hands over together.

use std::sync::Arc;

use crate::access::{Budget, Held};
use crate::address::Peer;
use crate::protocol::{ClientId, Mode, Reply};

/// The origin of records.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The device.
    pub client: ClientId,
    /// Its address.
    pub peer: Peer,
    /// The listener that received it.
    pub listener: Arc<str>,
    /// Session or one-shot.
    pub mode: Mode,
}

/// An [`Origin`] in borrowed parts: most records need no copy of it.
#[derive(Clone, Copy, Debug)]
pub struct OriginRef<'a> {
    /// See [`Origin::client`].
    pub client: &'a ClientId,
    /// See [`Origin::peer`].
    pub peer: Peer,
    /// See [`Origin::listener`].
    pub listener: &'a Arc<str>,
    /// See [`Origin::mode`].
    pub mode: Mode,
}

impl From<OriginRef<'_>> for Origin {
    fn from(OriginRef { client, peer, listener, mode }: OriginRef<'_>) -> Self {
        Self { client: client.clone(), peer, listener: Arc::clone(listener), mode }
    }
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
        let cost = self.cost();
        match self.held.as_mut().filter(|held| held.is_of(budget)) {
            Some(held) => held.set(cost),
            None => self.held = Some(budget.hold(cost)),
        }
    }

    /// Removes the data, keeps the memory, and holds nothing of the budget.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.held.iter_mut().for_each(|held| held.set(0));
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
