//! The task of a session, and its context: it has no mailbox, and no futures besides the session's turn. Actix' own
//! `Context` has both, which doubles the memory of an idle session, and the work at each wake-up.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::ActorState;
use actix::prelude::*;

use super::Session;
use crate::logging::Claim;

/// The context of the handlers of a session.
#[derive(Debug)]
pub struct SessionContext(ActorState);

impl ActorContext for SessionContext {
    fn stop(&mut self) {
        self.0 = ActorState::Stopping;
    }

    fn terminate(&mut self) {
        self.0 = ActorState::Stopped;
    }

    fn state(&self) -> ActorState {
        self.0
    }
}

/// A session and its context. It ends with the last turn of the session; aborting it kills the session. The task takes
/// 256 bytes as long as this is at most 152, and 384 bytes otherwise.
pub(super) struct SessionTask {
    pub(super) session: Session,
    ctx: SessionContext,
}

const _: () = assert!(size_of::<SessionTask>() <= 152, "see the comment on `SessionTask`");

impl SessionTask {
    pub(super) const fn new(session: Session) -> Self {
        Self { session, ctx: SessionContext(ActorState::Running) }
    }
}

impl Future for SessionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        // The session's last line reports the panic together with its client.
        let _claim = Claim::lay();
        let Self { session, ctx } = &mut *self;
        session.host().setup.holder.begins(session.guard.peer());
        let turn = catch_unwind(AssertUnwindSafe(|| session.turn(ctx, cx)));
        session.host().setup.holder.ends();
        let turn = turn.unwrap_or_else(|panic| {
            session.crashed();
            resume_unwind(panic)
        });
        if turn.is_ready() {
            session.return_work();
            ctx.stop();
        }
        if ctx.state() == ActorState::Running { Poll::Pending } else { Poll::Ready(()) }
    }
}
