//! Links: an actor, and the task that learns of its end.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::exit::{Exit, with_place};
use crate::logging::Claim;

/// Monitor and link in one. It resolves when the actor has ended. Dropping it kills the actor, on any thread.
pub struct Link(Pin<Box<dyn Future<Output = Exit>>>);

impl Link {
    pub(super) fn to(task: AbortOnDropHandle<()>) -> Self {
        Self::new(async { Exit::of(task.await) })
    }

    fn new(exit: impl Future<Output = Exit> + 'static) -> Self {
        Self(Box::pin(exit))
    }
}

impl Future for Link {
    type Output = Exit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Exit> {
        self.0.as_mut().poll(cx)
    }
}

/// Starts `actor` on this thread.
pub fn spawn<A: Actor<Context = Context<A>>>(actor: A) -> (Addr<A>, Link) {
    let ctx = Context::new();
    let addr = ctx.address();
    (addr, Link::to(spawn_task(ctx.into_future(actor))))
}

pub(super) fn spawn_task(task: impl Future<Output = ()> + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(actix_rt::spawn(claimed(task)))
}

/// Runs a task whose panic is not logged where it happens: it is a part of its end, which the owner of the link logs.
async fn claimed(task: impl Future<Output = ()>) {
    let mut task = std::pin::pin!(task);
    poll_fn(|cx| {
        let _claim = Claim::lay();
        let poll = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx)));
        poll.unwrap_or_else(|panic| resume_unwind(with_place(panic)))
    })
    .await;
}

/// Starts the actor that `make` returns on the arbiter's thread.
pub fn spawn_on<A: Actor<Context = Context<A>>>(
    arbiter: &ArbiterHandle,
    make: impl FnOnce() -> A + Send + 'static,
) -> Link {
    let (tell, told) = oneshot::channel();
    arbiter.spawn_fn(move || {
        // If the receiver was dropped, the handle comes back, and dropping it aborts the actor.
        let _ = tell.send(spawn_task(Context::new().into_future(make())));
    });
    Link::new(async {
        match told.await {
            Ok(handle) => Exit::of(handle.await),
            Err(_) => Exit::Killed,
        }
    })
}
