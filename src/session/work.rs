//! What a session needs only while it is at work. An idle session owns none of it: its thread lends it a [`Work`] when bytes
//! come, and takes it back when all is answered.

use super::answers::Answers;
use super::auth::LookUp;
use super::clock::Clock;
use crate::access::{Budget, Held, Ticket};
use crate::protocol::Kind;
use crate::uplink::store::{Answer, Batch};

/// Bytes of input that each session may keep beside the budget: what it needs to find out that it has to wait for room. If
/// they counted, those who wait would leave none.
pub(super) const SIP: usize = 512;

/// Memory that is not worth giving back before all is answered, in bytes.
const SMALL: usize = 4096;

#[derive(Default)]
pub(super) struct Work {
    /// Bytes that were received and not decoded yet: part of a frame, or what has to wait while the session is paused.
    pub(super) input: Vec<u8>,
    /// The length of the frame that [`Self::input`] begins, once there is room for all of it.
    pub(super) begun: usize,
    /// Why the session is not read.
    pub(super) paused: Option<Paused>,
    /// Room that the session has waited for, until what it took in is held.
    pub(super) grant: Option<Held>,
    /// How much of that is left.
    pub(super) granted: usize,
    /// The session has waited for room in vain: the SENDs in [`Self::input`] are refused.
    pub(super) refuses: bool,
    /// A frame that is refused before its data is there.
    pub(super) skipping: Option<Skipping>,
    /// Who an AUTH or a one-shot SEND comes from.
    pub(super) look_up: Option<LookUp>,
    pub(super) answers: Answers,
    /// Records for the store; their answers are pending in [`Self::answers`].
    pub(super) batch: Batch,
    pub(super) storing: Option<BeingStored>,
    pub(super) clock: Clock,
    /// What this takes of the budget.
    held: Option<Held>,
}

/// Why a session is not read, and what it has received is not decoded.
pub(super) enum Paused {
    /// An AUTH or a one-shot is being looked up.
    LookUp,
    /// The session itself has too much unanswered.
    Own,
    /// All sessions together have, and this one needs room for so many bytes.
    Budget(usize, Option<Ticket>),
}

pub(super) struct Skipping {
    pub(super) kind: Kind,
    /// Bytes to come.
    pub(super) left: usize,
}

/// A batch that the store holds.
pub(super) struct BeingStored {
    pub(super) stored: Answer,
    pub(super) records: usize,
    /// See [`Batch::cost`].
    pub(super) cost: usize,
}

impl Work {
    /// Bytes that are unanswered: answers that the peer has not read, and records that the store has not confirmed.
    pub(super) fn unanswered(&self) -> usize {
        self.answers.bytes() + self.batch.cost() + self.storing.as_ref().map_or(0, |storing| storing.cost)
    }

    /// Whether the store owes no answer.
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
            && self.paused.is_none()
            && self.input.is_empty()
            && self.skipping.is_none()
            && self.clock.is_off()
    }

    /// Bytes of memory held beside itself.
    pub(super) fn capacity(&self) -> usize {
        self.input.capacity() + self.answers.capacity() + self.batch.capacity()
    }

    /// Nothing more will be decoded.
    pub(super) fn stop_decoding(&mut self) {
        (self.input, self.begun, self.paused) = (Vec::new(), 0, None);
        (self.skipping, self.look_up) = (None, None);
    }

    /// Holds what it costs while it waits for something, and lets go of memory that it has no use for.
    pub(super) fn hold(&mut self, budget: &Budget) {
        if self.capacity() > SMALL || matches!(self.paused, Some(Paused::Budget(..))) {
            self.input.shrink_to(self.input.len().max(self.begun));
            self.answers.shrink();
            self.batch.shrink();
        }
        let input = self.input.capacity().max(self.begun).saturating_sub(SIP);
        let bytes = input + self.answers.capacity() + self.batch.capacity();
        match self.held.as_mut().filter(|held| held.is_of(budget)) {
            Some(held) => held.set(bytes),
            None if bytes > 0 => self.held = Some(budget.hold(bytes)),
            None => self.held = None,
        }
        // Only now, so that nobody is granted what this one has used.
        (self.grant, self.granted) = (None, 0);
        if let Some(Paused::Budget(_, Some(ticket))) = &self.paused {
            ticket.keeps(bytes);
        }
    }

    /// Ready for the next session.
    pub(super) fn reset(&mut self) {
        (self.held, self.grant) = (None, None);
        (self.begun, self.granted) = (0, 0);
    }
}
