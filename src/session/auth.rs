//! AUTH: the device states its id. The look-up is shared with one-shot SENDs.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use actix::prelude::*;

use super::authority::Refusal;
use super::clock::Timer;
use super::context::SessionContext;
use super::host::Host;
use super::{Closing, Phase, REGISTRY, Session};
use crate::address::Peer;
use crate::credentials::Checking;
use crate::protocol::{ClientId, Id, Mode, Reply};
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
    mode: Mode,
    asking: Asking,
}

/// Whose answer is pending. Most ids are not connected yet, and never get to the registry.
enum Asking {
    Credentials(Checking),
    Registry(Pin<Box<dyn Future<Output = Result<Registration, Refusal>>>>),
}

/// The id is known.
pub(super) enum Known {
    /// And this session now owns it.
    Registered(Registration),
    /// And its single record must be stored.
    OneShot(ClientId),
}

impl LookUp {
    fn poll(&mut self, host: &Host, peer: Peer, cx: &mut TaskContext<'_>) -> Poll<Result<Known, Refusal>> {
        let checking = match &mut self.asking {
            Asking::Credentials(checking) => checking,
            Asking::Registry(deciding) => return deciding.as_mut().poll(cx).map_ok(Known::Registered),
        };
        let checked = ready!(checking.as_mut().poll(cx));
        match (host.setup.authority.checked(checked, &self.client, peer), self.mode) {
            (Err(refusal), _) => Poll::Ready(Err(refusal)),
            (Ok(()), Mode::OneShot) => Poll::Ready(Ok(Known::OneShot(self.client.clone()))),
            (Ok(()), Mode::Session) => self.register(host, peer, cx).map_ok(Known::Registered),
        }
    }

    fn register(
        &mut self,
        host: &Host,
        peer: Peer,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Registration, Refusal>> {
        let (client, session) = (self.client.clone(), cx.waker().clone());
        let duplicate = host.settings().duplicate;
        let authority = &host.setup.authority;
        let held = match authority.table.insert_new(Register { client, peer, session, duplicate }) {
            Ok(registration) => return Poll::Ready(Ok(registration)),
            Err(held) => held,
        };
        let mut deciding = Box::pin(Arc::clone(authority).decide(held));
        let decided = deciding.as_mut().poll(cx);
        self.asking = Asking::Registry(deciding);
        decided
    }
}

impl Handler<Auth<'_>> for Session {
    type Result = ();

    fn handle(&mut self, Auth { client }: Auth<'_>, _: &mut SessionContext) {
        match self.guard.client() {
            None => self.look_up(client.into(), Mode::Session),
            Some(own) if own.as_id() == client => self.work().answers.word(Reply::AuthOk),
            Some(own) => {
                let detail = format!("{client} is not the id of the session, {own}");
                self.close_with(Reply::AuthFailure, Ended::AuthFailure, detail);
            }
        }
    }
}

impl Session {
    /// Looks up the sender of an AUTH or of a one-shot; for the latter, the registry is not involved.
    pub(super) fn look_up(&mut self, client: ClientId, mode: Mode) {
        let authenticator = self.host().setup.authority.current.now();
        let checking = authenticator.credentials.check(&client, self.guard.peer().ip());
        let is_allowed = self.stream.allows(client.as_str());
        self.phase = Phase::LookingUp;
        self.guard.looks_up();
        let deadline = self.after(authenticator.timeout + REGISTRY);
        let work = self.work();
        work.look_up = Some(LookUp { client, mode, asking: Asking::Credentials(checking) });
        work.clock.clear(Timer::Auth);
        work.clock.set(Timer::LookUp, deadline);
        if !is_allowed {
            self.refuse_id("the certificate of the client is for another id");
        }
    }

    /// Polls the look-up. Returns whether it has ended.
    pub(super) fn poll_look_up(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let Some(look_up) = self.work.as_mut().and_then(|work| work.look_up.as_mut()) else {
            return false;
        };
        let host = Rc::clone(&self.guard.host);
        let Poll::Ready(looked_up) = look_up.poll(&host, self.guard.peer(), cx) else {
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
