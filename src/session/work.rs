//! State that a session needs only while it is active. An idle session owns none of it: the thread lends it a [`Work`]
//! when bytes arrive, and takes it back when all is answered.

use super::answers::Answers;
use super::auth::LookUp;
use super::clock::Clock;
use crate::access::{Budget, Held, Ticket};
use crate::protocol::Kind;
use crate::store::{Answer, Batch};

/// Bytes of input that each session may keep outside the budget: enough to find out that it must wait for room. If
/// these bytes counted, waiting sessions could use up the budget.
pub(super) const SIP: usize = 512;

/// Memory up to this size, in bytes, is kept until all is answered.
pub(super) const SMALL: usize = 4096;

#[derive(Default)]
pub(super) struct Work {
    /// Received bytes that are not decoded yet: part of a frame, or the input of a paused session.
    pub(super) input: Vec<u8>,
    /// The length of the frame at the start of [`Self::input`], once there is room for all of it.
    pub(super) begun: usize,
    /// The reason why the session is not read.
    pub(super) paused: Option<Paused>,
    /// The granted room, until the input it was granted for is held.
    pub(super) grant: Option<Held>,
    /// The unused part of that grant.
    pub(super) granted: usize,
    /// The wait for room timed out: the SENDs in [`Self::input`] are refused.
    pub(super) refuses: bool,
    /// A frame that is refused before its data has arrived.
    pub(super) skipping: Option<Skipping>,
    /// The look-up of the sender of an AUTH or a one-shot SEND.
    pub(super) look_up: Option<LookUp>,
    pub(super) answers: Answers,
    /// Records for the store; their answers are pending in [`Self::answers`].
    pub(super) batch: Batch,
    pub(super) storing: Option<BeingStored>,
    pub(super) clock: Clock,
    /// Its part of the budget.
    held: Option<Held>,
}

/// The reason why a session is not read and its input is not decoded.
pub(super) enum Paused {
    /// A look-up of an AUTH or a one-shot is in progress.
    LookUp,
    /// This session has too much unanswered data.
    Own,
    /// This session has sent more per second than it may.
    Rate,
    /// All sessions together have too much unanswered data, and this session needs room for this many bytes.
    Budget(usize, Option<Ticket>),
}

pub(super) struct Skipping {
    pub(super) kind: Kind,
    /// Bytes still to come.
    pub(super) left: usize,
}

/// A batch in the hands of the store.
pub(super) struct BeingStored {
    pub(super) answer: Answer,
    pub(super) records: usize,
    /// See [`Batch::cost`].
    pub(super) cost: usize,
}

impl Work {
    /// Bytes of unanswered data: answers not yet read by the peer, and records not yet confirmed by the store.
    pub(super) fn unanswered(&self) -> usize {
        self.answers.bytes() + self.batch.cost() + self.storing.as_ref().map_or(0, |storing| storing.cost)
    }

    /// Whether no answer of the store is pending.
    pub(super) fn is_stored(&self) -> bool {
        self.batch.is_empty() && self.storing.is_none()
    }

    /// Whether all received frames are answered, and the answers have left.
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

    /// Bytes of memory held, without the size of the struct itself.
    pub(super) fn capacity(&self) -> usize {
        self.input.capacity() + self.answers.capacity() + self.batch.capacity()
    }

    /// Stops decoding for good.
    pub(super) fn stop_decoding(&mut self) {
        (self.input, self.begun, self.paused) = (Vec::new(), 0, None);
        (self.skipping, self.look_up) = (None, None);
    }

    /// Holds its cost from the budget while it waits for something, and releases memory that it does not need.
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
        // Only now, so that no other session is granted the room used by this one.
        (self.grant, self.granted) = (None, 0);
        if let Some(Paused::Budget(_, Some(ticket))) = &self.paused {
            ticket.keeps(bytes);
        }
    }

    /// Resets it for the next session, once it is done.
    pub(super) fn reset(&mut self) {
        // Kept for the next session, which most likely uses the same budget.
        self.held.iter_mut().for_each(|held| held.set(0));
        (self.grant, self.begun, self.granted) = (None, 0, 0);
    }

    /// Drops all that a session has left undone at its end; the memory stays.
    pub(super) fn abandon(&mut self) {
        self.stop_decoding();
        (self.refuses, self.storing, self.clock) = (false, None, Clock::default());
        self.answers.clear();
        self.batch.clear();
    }
}
