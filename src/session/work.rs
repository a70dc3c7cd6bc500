//! What a session needs only while it is at work. An idle session owns none of it: its thread lends it a [`Work`] when bytes
//! come, and takes it back when all is answered.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;

use super::answers::Answers;
use super::auth::LookUp;
use super::clock::Clock;
use crate::protocol::Kind;
use crate::uplink::Ticket;
use crate::uplink::store::{Batch, NotStored};

#[derive(Default)]
pub(super) struct Work {
    /// Bytes that were received and not decoded yet: part of a frame, or what waits behind an AUTH or for room.
    pub(super) input: Vec<u8>,
    /// The session is not read, so as not to take in more than it can answer.
    pub(super) paused: bool,
    /// A SEND stands at the head of [`Self::input`], and all sessions together have too much unanswered for it.
    pub(super) waits_for_budget: bool,
    /// It was told to wait for that since it last queued, see [`Self::ticket`].
    pub(super) starved: Cell<bool>,
    /// The place among those who wait for it.
    pub(super) ticket: Ticket,
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
    /// See [`Batch::cost`].
    pub(super) cost: usize,
}

impl Work {
    /// Bytes that are unanswered: answers that the peer has not read, and records that the uplink has not confirmed.
    pub(super) fn unanswered(&self) -> usize {
        self.answers.bytes() + self.batch.cost() + self.storing.as_ref().map_or(0, |storing| storing.cost)
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
