//! Registered names: how an actor is reached across its restarts.

use actix::dev::ToEnvelope;
use actix::prelude::*;
use tokio::sync::watch;

/// A name under which the present incarnation of `A` is found. Nobody keeps a sibling's `Addr`: after a restart it is
/// dead for ever, and what is sent to it is lost without a word.
pub struct Name<A: Actor>(watch::Sender<Option<Addr<A>>>);

impl<A: Actor> Name<A> {
    /// A name that nobody has yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Gives the name to `addr`, instead of whoever had it.
    pub fn register(&self, addr: Addr<A>) {
        self.0.send_replace(Some(addr));
    }

    /// Asks whoever has the name, waiting for a restart if need be, and once more if it dies over the question. The caller
    /// sets the deadline.
    pub async fn call<M>(&self, mut question: impl FnMut() -> M) -> Result<M::Result, NoAnswer>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let mut name = self.0.subscribe();
        for _ in 0..2 {
            let alive = |addr: &Option<Addr<A>>| addr.as_ref().is_some_and(Addr::connected);
            let present = name.wait_for(alive).await.map_err(|_| NoAnswer)?.clone();
            let Some(addr) = present else { continue };
            if let Ok(answer) = addr.send(question()).await {
                return Ok(answer);
            }
        }
        Err(NoAnswer)
    }
}

impl<A: Actor> Clone for Name<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor> Default for Name<A> {
    fn default() -> Self {
        Self::new()
    }
}

/// It died over the question twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was restarted twice over the same question")]
pub struct NoAnswer;
