//! Registered names: an actor stays reachable across its restarts.

use actix::dev::ToEnvelope;
use actix::prelude::*;
use tokio::sync::watch;

/// A name that resolves to the current incarnation of `A`. No actor keeps a sibling's `Addr`: after a restart that
/// address is dead, and messages to it are silently lost.
pub struct Name<A: Actor>(watch::Sender<Option<Addr<A>>>);

impl<A: Actor> Name<A> {
    /// An unregistered name.
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Registers `addr` under this name and replaces the previous owner.
    pub fn register(&self, addr: Addr<A>) {
        self.0.send_replace(Some(addr));
    }

    /// Sends a request to the owner of the name. It waits for a restart if needed, and retries once if the actor dies
    /// on the request. The caller sets the timeout.
    pub async fn call<M>(&self, mut question: impl FnMut() -> M) -> Result<M::Result, NoAnswer>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let mut name = self.0.subscribe();
        let mut dead = None;
        for _ in 0..2 {
            // An actor that died on the request looks alive until its mailbox is dropped too.
            let alive = |addr: &Option<Addr<A>>| *addr != dead && addr.as_ref().is_some_and(Addr::connected);
            let present = name.wait_for(alive).await.map_err(|_| NoAnswer)?.clone();
            let Some(addr) = &present else { continue };
            if let Ok(answer) = addr.send(question()).await {
                return Ok(answer);
            }
            dead = present;
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

/// The actor died twice on the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("restarted twice on the same request")]
pub struct NoAnswer;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use actix_rt::Arbiter;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;
    use crate::supervisor::{Link, spawn, spawn_on};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Answers with its number, or dies on the question.
    struct Oracle {
        number: u32,
        name: Name<Self>,
        /// Delays its end: until the sender signals it, or for a while.
        lingers: Option<mpsc::Receiver<()>>,
    }

    impl Actor for Oracle {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Context<Self>) {
            self.name.register(ctx.address());
        }
    }

    impl Drop for Oracle {
        fn drop(&mut self) {
            let _ = self.lingers.take().map(|told| told.recv_timeout(Duration::from_millis(200)));
        }
    }

    #[derive(Clone, Copy, Message)]
    #[rtype(result = "u32")]
    enum Question {
        Number,
        Deadly,
    }

    impl Handler<Question> for Oracle {
        type Result = u32;

        fn handle(&mut self, question: Question, _: &mut Context<Self>) -> u32 {
            match question {
                Question::Number => self.number,
                Question::Deadly => crate::supervisor::exit("over this question"),
            }
        }
    }

    /// An oracle registered under `name`.
    fn oracle(number: u32, name: &Name<Oracle>) -> Link {
        let (addr, link) = spawn(Oracle { number, name: name.clone(), lingers: None });
        name.register(addr);
        link
    }

    /// Asks these questions, one per attempt.
    fn ask<const N: usize>(
        name: &Name<Oracle>,
        questions: [Question; N],
    ) -> JoinHandle<Result<u32, NoAnswer>> {
        let (name, mut questions) = (name.clone(), questions.into_iter());
        actix_rt::spawn(async move { name.call(|| questions.next().expect("asked too often")).await })
    }

    async fn soon<T>(what: impl Future<Output = T>) -> T {
        timeout(PATIENCE, what).await.expect("timed out")
    }

    #[actix::test]
    async fn a_call_reaches_the_current_owner_of_the_name() {
        let name = Name::new();
        let _first = oracle(1, &name);
        assert_eq!(soon(ask(&name, [Question::Number])).await.unwrap(), Ok(1));
        let _second = oracle(2, &name);
        assert_eq!(soon(ask(&name, [Question::Number])).await.unwrap(), Ok(2));
    }

    #[actix::test]
    async fn a_call_waits_until_the_name_has_an_owner() {
        let name = Name::new();
        let answer = ask(&name, [Question::Number]);
        tokio::task::yield_now().await;
        assert!(!answer.is_finished());
        let link = oracle(1, &name);
        assert_eq!(soon(answer).await.unwrap(), Ok(1));

        drop(link);
        tokio::task::yield_now().await;
        let answer = ask(&name, [Question::Number]);
        tokio::task::yield_now().await;
        assert!(!answer.is_finished());
        let _link = oracle(2, &name);
        assert_eq!(soon(answer).await.unwrap(), Ok(2));
    }

    #[actix::test]
    async fn a_call_is_retried_once() {
        let name = Name::new();
        let first = oracle(1, &name);
        let answer = ask(&name, [Question::Deadly, Question::Number]);
        soon(first).await;
        let _second = oracle(2, &name);
        assert_eq!(soon(answer).await.unwrap(), Ok(2));

        let answer = ask(&name, [Question::Deadly, Question::Deadly]);
        soon(_second).await;
        soon(oracle(3, &name)).await;
        assert_eq!(soon(answer).await.unwrap(), Err(NoAnswer));
    }

    #[actix::test]
    async fn a_retry_skips_an_actor_that_is_still_dying() {
        let name = Name::new();
        let (arbiter, (asked_again, told)) = (Arbiter::new(), mpsc::channel());
        let dying = Oracle { number: 1, name: name.clone(), lingers: Some(told) };
        let first = spawn_on(&arbiter.handle(), || dying);
        let (asking, mut asked) = (name.clone(), 0);
        let answer = actix_rt::spawn(async move {
            let question = || {
                asked += 1;
                if asked == 1 {
                    return Question::Deadly;
                }
                let _ = asked_again.send(());
                Question::Number
            };
            asking.call(question).await
        });
        soon(first).await;
        let _second = oracle(2, &name);
        assert_eq!(soon(answer).await.unwrap(), Ok(2));
    }
}
