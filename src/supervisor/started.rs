//! A child that runs: its link, and how it is asked to stop.

use std::future::Future;

use actix::prelude::*;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::link::{Link, spawn_task};
use super::name::Name;

/// Asks a child to finish its pending work and to stop. A child that is late is killed.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Stop {
    /// The child should have stopped by then.
    pub deadline: Instant,
}

/// A running child.
pub struct Started {
    pub(super) link: Link,
    pub(super) controls: Controls,
}

/// The means to end one life of a child.
#[derive(Clone)]
pub(super) struct Controls {
    abort: AbortHandle,
    /// A task has no mailbox: it is aborted.
    stop: Option<Recipient<Stop>>,
}

impl Started {
    /// Starts `actor` on this thread.
    pub fn new<A>(actor: A) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Stop>,
    {
        let ctx = Context::new();
        let stop = ctx.address().recipient();
        Self::of(spawn_task(ctx.into_future(actor)), Some(stop))
    }

    /// Starts `actor` on this thread and registers it under `name`.
    pub fn named<A>(actor: A, name: &Name<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Stop>,
    {
        let ctx = Context::new();
        let addr = ctx.address();
        let started = Self::of(spawn_task(ctx.into_future(actor)), Some(addr.clone().recipient()));
        name.register(addr);
        started
    }

    /// Starts a plain future on this thread. It fails by [`exit`](super::exit()) or a panic. A stop drops it.
    pub fn task(task: impl Future<Output = ()> + 'static) -> Self {
        Self::of(spawn_task(task), None)
    }

    fn of(task: AbortOnDropHandle<()>, stop: Option<Recipient<Stop>>) -> Self {
        let controls = Controls { abort: task.abort_handle(), stop };
        Self { link: Link::to(task), controls }
    }
}

impl Controls {
    pub(super) fn stop(&self, deadline: Instant) {
        match &self.stop {
            Some(stop) => stop.do_send(Stop { deadline }),
            None => self.kill(),
        }
    }

    pub(super) fn kill(&self) {
        self.abort.abort();
    }
}
