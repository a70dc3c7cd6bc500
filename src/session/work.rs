//! What a session needs only while it is at work. An idle session owns none of it: its thread lends it a [`Work`] when bytes
//! come, and takes it back when all is answered.

use std::future::Future;
use std::pin::Pin;

use super::answers::Answers;
use super::auth::LookUp;
use super::clock::Clock;
use crate::protocol::{Kind, Reply};
use crate::uplink::store::{Batch, NotStored};

/// The most bytes that a session holds unanswered: answers that the peer has not read and records that the uplink has not
/// confirmed. Past it the session is not read.
const ROOM: usize = 256 * 1024;

/// What a record takes beside its data: its end in the batch, then its answer.
const RECORD: usize = size_of::<usize>() + Reply::SendFailure.word().len();

#[derive(Default)]
pub(super) struct Work {
    /// Bytes that were received and not decoded yet: part of a frame, or what waits behind an AUTH or for room.
    pub(super) input: Vec<u8>,
    /// The session is not read, so as not to take in more than it can answer.
    pub(super) paused: bool,
    /// A frame that is refused before its data is there.
    pub(super) skipping: Option<Skipping>,
    /// Who an AUTH or a one-shot SEND comes from.
    pub(super) look_up: Option<LookUp>,
    pub(super) answers: Answers,
    /// Records for the uplink; their answers are pending in [`Self::answers`].
    pub(super) batch: Batch,
    pub(super) storing: Option<BeingStored>,
    pub(super) clock: Clock,
}

pub(super) struct Skipping {
    pub(super) kind: Kind,
    /// Bytes to come.
    pub(super) left: usize,
}

/// A batch that the uplink holds.
pub(super) struct BeingStored {
    pub(super) stored: Pin<Box<dyn Future<Output = Result<(), NotStored>> + Send>>,
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Work {
    pub(super) fn has_room(&self) -> bool {
        let (records, bytes) =
            self.storing.as_ref().map_or((0, 0), |storing| (storing.records, storing.bytes));
        let records = records + self.batch.len();
        self.answers.bytes() + self.batch.bytes() + bytes + records * RECORD < ROOM
    }

    /// Whether the uplink owes no answer.
    pub(super) fn is_stored(&self) -> bool {
        self.batch.is_empty() && self.storing.is_none()
    }

    /// Whether all that was received has been answered, and the answers are on their way.
    pub(super) fn all_answered(&self) -> bool {
        self.answers.is_empty() && self.is_stored()
    }

    pub(super) fn is_done(&self) -> bool {
        self.all_answered()
            && self.look_up.is_none()
            && !self.paused
            && self.input.is_empty()
            && self.skipping.is_none()
            && self.clock.is_off()
    }

    /// Bytes of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.input.capacity() + self.answers.capacity() + self.batch.capacity()
    }
}
