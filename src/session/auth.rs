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
use crate::protocol::{ClientId, Reply};
use crate::registry::{Register, Registration};
use crate::stats::Ended;

/// An AUTH.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Auth<'a> {
    pub(super) client: &'a str,
}

/// A look-up under way.
pub(super) struct LookUp {
    /// The id that was sent.
    client: String,
    asking: Pin<Box<dyn Future<Output = Result<Known, Refusal>>>>,
}

/// The id is known.
pub(super) enum Known {
    /// And this session has it now.
    Registered(Registration),
    /// And the one record that it sent is to be stored.
    OneShot(ClientId),
}

/// Why an id was refused.
pub(super) struct Refusal(String);

impl Refusal {
    fn new(why: impl Display) -> Self {
        Self(why.to_string())
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
    async fn known(&self, client: String) -> Result<ClientId, Refusal> {
        let client = ClientId::try_from(client.as_str()).map_err(Refusal::new)?;
        match self.credentials.check(&client).await {
            Ok(()) => Ok(client),
            Err(denied) => {
                self.unknown.note(&client, self.peer, &denied);
                Err(Refusal::new(denied))
            }
        }
    }
}

impl Handler<Auth<'_>> for Session {
    type Result = ();

    fn handle(&mut self, Auth { client }: Auth<'_>, ctx: &mut Context<Self>) {
        match self.guard.client() {
            None => self.look_up(self.registration(client.to_owned(), ctx)),
            Some(own) if own.as_str() == client => self.work().answers.word(Reply::AuthOk),
            Some(own) => {
                let detail = format!("{client} is not the id of the session, {own}");
                self.close_with(Reply::AuthFailure, Ended::AuthFailure, detail);
            }
        }
    }
}

impl Session {
    fn registration(&self, client: String, ctx: &mut Context<Self>) -> LookUp {
        let (setup, question) = (&self.host().setup, self.question());
        let (table, registry) = (setup.table.clone(), setup.registry.clone());
        let (peer, duplicate) = (self.guard.peer, setup.settings.duplicate);
        let session = ctx.address().downgrade().recipient();
        let id = client.clone();
        let asking = Box::pin(async move {
            let client = question.known(id).await?;
            let held = match table.insert_new(Register { client, peer, session, duplicate }) {
                Ok(registration) => return Ok(Known::Registered(registration)),
                Err(held) => held,
            };
            match registry.call(|| held.clone()).await {
                Ok(Ok(registration)) => Ok(Known::Registered(registration)),
                Ok(Err(other)) => Err(Refusal::new(other)),
                Err(err) => Err(Refusal::new(format_args!("the registry: {err}"))),
            }
        });
        LookUp { client, asking }
    }

    /// Looks up who sent a one-shot; the registry is not touched.
    pub(super) fn look_up_one_shot(&mut self, client: String) {
        let question = self.question();
        let id = client.clone();
        let asking = Box::pin(async move { question.known(id).await.map(Known::OneShot) });
        self.look_up(LookUp { client, asking });
    }

    fn question(&self) -> Question {
        let setup = &self.host().setup;
        let (credentials, unknown) = (Arc::clone(&setup.credentials), setup.unknown.clone());
        Question { credentials, unknown, peer: self.guard.peer }
    }

    fn look_up(&mut self, look_up: LookUp) {
        self.phase = Phase::LookingUp;
        self.guard.looks_up();
        let deadline = self.after(self.host().setup.look_up_timeout + REGISTRY);
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
        let Poll::Ready(looked_up) = look_up.asking.as_mut().poll(cx) else {
            return false;
        };
        let client = self.looked_up();
        match looked_up {
            Ok(Known::Registered(registration)) => {
                self.guard.authenticated(registration);
                self.phase = Phase::Authenticated;
                self.is_not_idle();
                self.work().answers.word(Reply::AuthOk);
            }
            Ok(Known::OneShot(known)) => {
                self.store_one_shot(known);
                self.guard.ends_for(client);
            }
            Err(Refusal(why)) => self.refuse_id(client, why),
        }
        true
    }

    pub(super) fn look_up_takes_too_long(&mut self) {
        let client = self.looked_up();
        self.refuse_id(client, "the look-up takes too long");
    }

    /// Ends the look-up. The id that it was about.
    fn looked_up(&mut self) -> String {
        self.phase = Phase::New;
        let work = self.work();
        work.clock.clear(Timer::LookUp);
        work.look_up.take().map(|look_up| look_up.client).unwrap_or_default()
    }

    fn refuse_id(&mut self, client: String, why: impl ToString) {
        // A one-shot has its record in the batch already.
        let is_one_shot = !self.work().batch.is_empty();
        self.work().batch.clear();
        if is_one_shot {
            self.not_stored();
            self.close(Closing::LastWordsAndLinger, Ended::AuthFailure, why);
        } else {
            self.close_with(Reply::AuthFailure, Ended::AuthFailure, why);
        }
        self.guard.ends_for(client);
    }
}
