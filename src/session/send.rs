//! SEND: data for the store.

use std::task::{Context as TaskContext, Poll};

use actix::prelude::*;
use log::debug;

use super::clock::Timer;
use super::context::SessionContext;
use super::work::{BeingStored, Work};
use super::{Closing, STORE, Session};
use crate::protocol::{ClientId, Id, Kind, Mode, Reply};
use crate::registry::Row;
use crate::stats::Ended;
use crate::store::{Fence, NotStored, OriginRef};

/// A SEND.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Send<'a> {
    pub(super) mode: Mode,
    pub(super) client: Id<'a>,
    pub(super) data: &'a [u8],
}

impl Handler<Send<'_>> for Session {
    type Result = ();

    fn handle(&mut self, Send { mode, client, data }: Send<'_>, _: &mut SessionContext) {
        match (mode, self.guard.client()) {
            (Mode::Session, Some(own)) if own.as_id() == client => {
                let work = self.work();
                work.batch.push(data);
                work.answers.send();
            }
            (Mode::Session, Some(_)) => self.not_stored(),
            (Mode::Session, None) => self.refuse(Kind::Send),
            (Mode::OneShot, None) => {
                self.work().batch.push(data);
                self.look_up(client.into(), Mode::OneShot);
            }
            (Mode::OneShot, Some(_)) => self.one_shot_on_session(),
        }
    }
}

impl Session {
    pub(super) fn one_shot_on_session(&mut self) {
        self.close_with(
            Reply::ProtocolError,
            Ended::ProtocolError,
            "a one-shot SEND on an authenticated session",
        );
    }

    /// A SEND that cannot be stored.
    pub(super) fn not_stored(&mut self) {
        self.guard.stats().not_stored.one();
        self.work().answers.word(Reply::SendFailure);
    }

    /// A SEND without room after the timeout. A one-shot ends with this answer.
    pub(super) fn refuse_send(&mut self, mode: Mode) {
        self.guard.frames += 1;
        self.not_stored();
        if mode == Mode::OneShot {
            self.close(Closing::LastWordsAndLinger, Ended::OneShot, "out of memory budget");
        }
    }

    /// The id of a one-shot is known: its record goes to the store, and the session ends after the answer.
    pub(super) fn store_one_shot(&mut self, client: &ClientId) {
        self.work().answers.send();
        self.store(Some(client));
        self.close(Closing::LastWordsAndLinger, Ended::OneShot, "");
    }

    /// Stores the records of this read, or hands them over, one batch at a time to keep their order. Returns whether the
    /// session must wait for the store.
    pub(super) fn hand_over(&mut self) -> bool {
        let ready = |work: &Work| !work.batch.is_empty() && work.storing.is_none();
        self.work.as_deref().is_some_and(ready) && self.store(None)
    }

    /// The same for the records of this session, or for the one of a one-shot of this client. A store that takes turns
    /// checks the right to the id itself, when it takes them.
    fn store(&mut self, one_shot: Option<&ClientId>) -> bool {
        let (guard, host) = (&self.guard, &self.guard.host);
        let (client, mode) = match (one_shot, guard.client()) {
            (Some(client), _) => (client, Mode::OneShot),
            (None, Some(client)) => (client, Mode::Session),
            // A one-shot whose look-up runs.
            (None, None) => return false,
        };
        let origin = OriginRef { client, peer: guard.peer(), listener: guard.listener(), mode };
        let work = self.work.get_or_insert_with(|| host.lend());
        let (records, cost) = (work.batch.len(), work.batch.cost());
        let Some(store) = host.setup.store.now() else {
            work.batch.hold(host.budget(self.phase));
            let answer = host.outbox.put(origin.into(), std::mem::take(&mut work.batch), guard.fence());
            work.storing = Some(BeingStored { answer, records, cost });
            work.clock.set(Timer::Store, host.roll.after(STORE));
            return true;
        };
        let stored = guard.while_current(|| store.store_now(origin, &work.batch));
        work.batch.clear();
        // `None`: it was taken over, and ends at its next turn.
        stored.into_iter().for_each(|stored| self.stored(records, stored));
        false
    }

    /// Whether the store answered.
    pub(super) fn poll_stored(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let Some(storing) = self.work.as_mut().and_then(|work| work.storing.as_mut()) else {
            return false;
        };
        let Poll::Ready((stored, batch)) = storing.answer.poll(cx) else {
            return false;
        };
        self.work().batch.reuse(batch);
        self.store_answered(stored);
        true
    }

    pub(super) fn store_takes_too_long(&mut self) {
        let too_long = NotStored("store timed out".into());
        self.store_answered(Err(too_long.clone()));
        // The last words wait behind records that are not handed over yet, and there is no time for a retry.
        if self.closing.is_some() {
            let records = self.work().batch.len();
            self.work().batch.clear();
            self.stored(records, Err(too_long));
        }
    }

    fn store_answered(&mut self, stored: Result<(), NotStored>) {
        self.is_not_idle();
        let work = self.work();
        work.clock.clear(Timer::Store);
        if let Some(BeingStored { records, .. }) = work.storing.take() {
            self.stored(records, stored);
        }
    }

    fn stored(&mut self, records: usize, stored: Result<(), NotStored>) {
        let stats = self.guard.stats();
        let reply = match stored {
            Ok(()) => {
                stats.stored.add(records as u64);
                Reply::SendOk
            }
            Err(why) => {
                stats.not_stored.add(records as u64);
                debug!("not stored peer={} records={records} cause=\"{why}\"", self.guard.peer());
                Reply::SendFailure
            }
        };
        self.work().answers.sent(records, reply);
    }
}

/// A session loses its right when a newer one has its id.
impl Fence for Row {
    fn while_current(&self, effect: &mut dyn FnMut()) {
        Self::while_current(self, effect);
    }
}
