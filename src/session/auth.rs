//! AUTH: this is who I am. And the look-up that a one-shot SEND shares with it.

use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use actix::prelude::*;

use super::clock::Timer;
use super::{Closing, Phase, REGISTRY, Session};
use crate::credentials::{Credentials, Unknown};
use crate::protocol::{ClientId, Id, Reply};
use crate::registry::{Register, Registration};
use crate::stats::Ended;

/// An AUTH.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Auth<'a> {
    pub(super) client: Id<'a>,
}

/// A look-up under way.
pub(super) type LookUp = Pin<Box<dyn Future<Output = Result<Known, Refusal>>>>;

/// The id is known.
pub(super) enum Known {
    /// And this session has it now.
    Registered(Registration),
    /// And the one record that it sent is to be stored.
    OneShot(ClientId),
}

/// Why an id was refused, with the id.
pub(super) struct Refusal(String);

impl Refusal {
    fn new(client: &str, why: impl Display) -> Self {
        Self(format!("{client}: {why}"))
    }
}

/// Whom to ask for an id that came from a peer.
struct Question {
    credentials: Arc<dyn Credentials>,
    unknown: Unknown,
    peer: SocketAddr,
}

impl Question {
    /// The id, if the credentials know it.
    async fn known(&self, client: ClientId) -> Result<ClientId, Refusal> {
        match self.credentials.check(&client).await {
            Ok(()) => Ok(client),
            Err(denied) => {
                self.unknown.note(&client, self.peer, &denied);
                Err(Refusal::new(client.as_str(), denied))
            }
        }
    }
}

impl Handler<Auth<'_>> for Session {
    type Result = ();

    fn handle(&mut self, Auth { client }: Auth<'_>, ctx: &mut Context<Self>) {
        match self.guard.client() {
            None => self.look_up(self.registration(client.into(), ctx)),
            Some(own) if own.as_id() == client => self.work().answers.word(Reply::AuthOk),
            Some(own) => {
                let detail = format!("{client} is not the id of the session, {own}");
                self.close_with(Reply::AuthFailure, Ended::AuthFailure, detail);
            }
        }
    }
}

impl Session {
    fn registration(&self, client: ClientId, ctx: &mut Context<Self>) -> LookUp {
        let (setup, question) = (&self.host().setup, self.question());
        let (table, registry) = (setup.table.clone(), setup.registry.clone());
        let (peer, duplicate) = (self.guard.peer, setup.settings.duplicate);
        let session = ctx.address().downgrade().recipient();
        Box::pin(async move {
            let client = question.known(client).await?;
            let held = match table.insert_new(Register { client, peer, session, duplicate }) {
                Ok(registration) => return Ok(Known::Registered(registration)),
                Err(held) => held,
            };
            match registry.call(|| held.clone()).await {
                Ok(Ok(registration)) => Ok(Known::Registered(registration)),
                Ok(Err(other)) => Err(Refusal::new(held.client.as_str(), other)),
                Err(err) => Err(Refusal::new(held.client.as_str(), format_args!("the registry: {err}"))),
            }
        })
    }

    /// Looks up who sent a one-shot; the registry is not touched.
    pub(super) fn look_up_one_shot(&mut self, client: ClientId) {
        let question = self.question();
        self.look_up(Box::pin(async move { question.known(client).await.map(Known::OneShot) }));
    }

    fn question(&self) -> Question {
        let setup = &self.host().setup;
        let (credentials, unknown) = (Arc::clone(&setup.credentials), setup.unknown.clone());
        Question { credentials, unknown, peer: self.guard.peer }
    }

    fn look_up(&mut self, look_up: LookUp) {
        self.phase = Phase::LookingUp;
        let deadline = self.host().setup.look_up_timeout + REGISTRY;
        let work = self.work();
        work.look_up = Some(look_up);
        work.clock.clear(Timer::Auth);
        work.clock.set(Timer::LookUp, deadline);
    }

    /// Whether a look-up came to its end.
    pub(super) fn poll_look_up(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let Some(look_up) = self.work.as_mut().and_then(|work| work.look_up.as_mut()) else {
            return false;
        };
        let Poll::Ready(looked_up) = look_up.as_mut().poll(cx) else {
            return false;
        };
        self.looked_up();
        match looked_up {
            Ok(Known::Registered(registration)) => {
                self.guard.authenticated(registration);
                self.phase = Phase::Authenticated;
                self.work().answers.word(Reply::AuthOk);
            }
            Ok(Known::OneShot(client)) => self.store_one_shot(client),
            Err(Refusal(why)) => self.refuse_id(why),
        }
        true
    }

    pub(super) fn look_up_takes_too_long(&mut self) {
        self.looked_up();
        self.refuse_id("the look-up takes too long");
    }

    fn looked_up(&mut self) {
        self.phase = Phase::New;
        let work = self.work();
        work.look_up = None;
        work.clock.clear(Timer::LookUp);
    }

    fn refuse_id(&mut self, why: impl ToString) {
        // A one-shot has its record in the batch already.
        let is_one_shot = !self.work().batch.is_empty();
        self.work().batch.clear();
        if is_one_shot {
            self.not_stored();
            self.close(Closing::LastWordsAndLinger, Ended::AuthFailure, why);
        } else {
            self.close_with(Reply::AuthFailure, Ended::AuthFailure, why);
        }
    }
}
