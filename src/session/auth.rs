//! AUTH: the device states its id. The look-up is shared with one-shot SENDs.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use actix::prelude::*;

use super::authority::Refusal;
use super::clock::Timer;
use super::context::SessionContext;
use super::{Closing, Phase, REGISTRY, Session};
use crate::protocol::{ClientId, Id, Reply};
use crate::registry::{Register, Registration};
use crate::stats::Ended;

/// An AUTH.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Auth<'a> {
    pub(super) client: Id<'a>,
}

/// A look-up in progress.
pub(super) struct LookUp {
    /// The id from the frame.
    pub(super) client: ClientId,
    asking: Pin<Box<dyn Future<Output = Result<Known, Refusal>>>>,
}

/// The id is known.
pub(super) enum Known {
    /// And this session now owns it.
    Registered(Registration),
    /// And its single record must be stored.
    OneShot(ClientId),
}

impl Handler<Auth<'_>> for Session {
    type Result = ();

    fn handle(&mut self, Auth { client }: Auth<'_>, _: &mut SessionContext) {
        match self.guard.client() {
            None => self.look_up(self.registration(client.into())),
            Some(own) if own.as_id() == client => self.work().answers.word(Reply::AuthOk),
            Some(own) => {
                let detail = format!("{client} is not the id of the session, {own}");
                self.close_with(Reply::AuthFailure, Ended::AuthFailure, detail);
            }
        }
    }
}

impl Session {
    fn registration(&self, client: ClientId) -> LookUp {
        let peer = self.guard.peer();
        let authority = Arc::clone(&self.host().setup.authority);
        let duplicate = self.host().settings().duplicate;
        let id = client.clone();
        let asking = Box::pin(async move {
            authority.identify(&id, peer).await?;
            let session = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            let new = Register { client: id, peer, session, duplicate };
            authority.register(new).await.map(Known::Registered)
        });
        LookUp { client, asking }
    }

    /// Looks up the sender of a one-shot; the registry is not involved.
    pub(super) fn look_up_one_shot(&mut self, client: ClientId) {
        let (authority, peer, id) =
            (Arc::clone(&self.host().setup.authority), self.guard.peer(), client.clone());
        let asking = Box::pin(async move {
            authority.identify(&id, peer).await?;
            Ok(Known::OneShot(id))
        });
        self.look_up(LookUp { client, asking });
    }

    fn look_up(&mut self, look_up: LookUp) {
        self.phase = Phase::LookingUp;
        self.guard.looks_up();
        let deadline = self.after(self.host().setup.authority.timeout + REGISTRY);
        let work = self.work();
        work.look_up = Some(look_up);
        work.clock.clear(Timer::Auth);
        work.clock.set(Timer::LookUp, deadline);
    }

    /// Polls the look-up. Returns whether it has ended.
    pub(super) fn poll_look_up(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let Some(look_up) = self.work.as_mut().and_then(|work| work.look_up.as_mut()) else {
            return false;
        };
        let Poll::Ready(looked_up) = look_up.asking.as_mut().poll(cx) else {
            return false;
        };
        match looked_up {
            Ok(Known::Registered(registration)) => {
                self.looked_up();
                self.guard.authenticated(registration);
                self.phase = Phase::Authenticated;
                self.is_not_idle();
                self.work().answers.word(Reply::AuthOk);
            }
            Ok(Known::OneShot(client)) => {
                self.looked_up();
                self.store_one_shot(&client);
                self.guard.ends_for(client);
            }
            Err(Refusal(why)) => self.refuse_id(why),
        }
        true
    }

    pub(super) fn look_up_takes_too_long(&mut self) {
        self.refuse_id("look-up timed out");
    }

    /// Ends the look-up and returns its id.
    fn looked_up(&mut self) -> Option<ClientId> {
        self.phase = Phase::New;
        let work = self.work();
        work.clock.clear(Timer::LookUp);
        work.look_up.take().map(|look_up| look_up.client)
    }

    fn refuse_id(&mut self, why: impl ToString) {
        let client = self.looked_up();
        // The record of a one-shot is already in the batch.
        let is_one_shot = !self.work().batch.is_empty();
        self.work().batch.clear();
        if is_one_shot {
            self.not_stored();
            self.close(Closing::LastWordsAndLinger, Ended::AuthFailure, why);
        } else {
            self.close_with(Reply::AuthFailure, Ended::AuthFailure, why);
        }
        client.into_iter().for_each(|client| self.guard.ends_for(client));
    }
}
