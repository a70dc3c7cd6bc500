//! The messages of OTP's `supervisor` module: children that are added, removed and listed at run time.

use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::time::Instant as Deadline;

use super::child::{Child, Ending, State};
use super::exit::Exit;
use super::spec::{ChildSpec, Restart};
use super::{Supervisor, now};

/// Why a request about a child was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChildError {
    /// A child has this id already.
    #[error("already present")]
    AlreadyPresent,
    /// No child has this id.
    #[error("not found")]
    NotFound,
    /// The child is running, or is about to be restarted.
    #[error("running")]
    Running,
    /// The start function failed.
    #[error("{0}")]
    Failed(Exit),
    /// The supervisor is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}

/// Adds a child and starts it. A child that fails to start is not added.
#[derive(Message)]
#[rtype(result = "Result<(), ChildError>")]
pub struct StartChild(pub ChildSpec);

impl Handler<StartChild> for Supervisor {
    type Result = Result<(), ChildError>;

    fn handle(&mut self, StartChild(spec): StartChild, ctx: &mut Context<Self>) -> Self::Result {
        if self.shutting_down {
            return Err(ChildError::ShuttingDown);
        }
        if self.find(&spec.id).is_some() {
            return Err(ChildError::AlreadyPresent);
        }
        self.children.push(Child::new(spec, self.max_backoff, now()));
        self.try_start(self.children.len() - 1, ctx).map_err(|exit| {
            self.children.pop();
            ChildError::Failed(exit)
        })
    }
}

/// Stops a child and does not restart it; a pending restart is cancelled. Resolves when it has ended, killed if it is
/// late. The child stays known until it is deleted, unless it is temporary.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ChildError>")]
pub struct TerminateChild {
    /// The id of the child.
    pub id: String,
    /// The child is killed after this time.
    pub within: Duration,
}

impl Handler<TerminateChild> for Supervisor {
    type Result = ResponseFuture<Result<(), ChildError>>;

    fn handle(
        &mut self,
        TerminateChild { id, within }: TerminateChild,
        ctx: &mut Context<Self>,
    ) -> Self::Result {
        let deadline = Deadline::now() + within;
        let ending = self.find(&id).map(|index| self.stop(index, deadline, ctx));
        Box::pin(async move {
            if let Some(ending) = ending.ok_or(ChildError::NotFound)? {
                ending.by(deadline).await;
            }
            Ok(())
        })
    }
}

impl Supervisor {
    /// Asks a child to stop, or cancels its restart.
    pub(super) fn stop(
        &mut self,
        index: usize,
        deadline: Deadline,
        ctx: &mut Context<Self>,
    ) -> Option<Ending> {
        let child = self.children.get_mut(index)?;
        if let State::Waiting { timer, .. } = child.state {
            ctx.cancel_future(timer);
            child.becomes(State::Down, now());
        }
        child.stop(deadline)
    }
}

/// Forgets a child that is not running, and drops what its start function owns.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ChildError>")]
pub struct DeleteChild(pub String);

impl Handler<DeleteChild> for Supervisor {
    type Result = Result<(), ChildError>;

    fn handle(&mut self, DeleteChild(id): DeleteChild, _: &mut Context<Self>) -> Self::Result {
        let index = self.find(&id).ok_or(ChildError::NotFound)?;
        if !self.children.get(index).is_some_and(|child| matches!(child.state, State::Down)) {
            return Err(ChildError::Running);
        }
        self.children.remove(index);
        Ok(())
    }
}

/// Starts a child that was terminated or has stopped, or retries one that gave up.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ChildError>")]
pub struct RestartChild(pub String);

impl Handler<RestartChild> for Supervisor {
    type Result = Result<(), ChildError>;

    fn handle(&mut self, RestartChild(id): RestartChild, ctx: &mut Context<Self>) -> Self::Result {
        if self.shutting_down {
            return Err(ChildError::ShuttingDown);
        }
        let index = self.find(&id).ok_or(ChildError::NotFound)?;
        match self.children.get(index).map(|child| &child.state) {
            Some(State::Down) => self.try_start(index, ctx).map_err(ChildError::Failed),
            Some(State::Waiting { timer, gave_up: true }) => {
                ctx.cancel_future(*timer);
                self.start_again(&id, ctx);
                Ok(())
            }
            _ => Err(ChildError::Running),
        }
    }
}

/// Lists the children in the order of their start.
#[derive(Debug, Message)]
#[rtype(result = "Vec<ChildInfo>")]
pub struct WhichChildren;

/// A child, as [`WhichChildren`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildInfo {
    /// Its id.
    pub id: String,
    /// Its restart policy.
    pub restart: Restart,
    /// What it does now.
    pub state: ChildState,
    /// The time at which this state began.
    pub since: Instant,
    /// Restarts so far.
    pub restarts: u64,
    /// Its last end, except those that were requested.
    pub last_exit: Option<Exit>,
}

/// The state of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildState {
    /// It runs.
    Running,
    /// It ended, and will be restarted shortly.
    Restarting,
    /// It exceeded its restart limit, and is retried once a minute.
    GaveUp,
    /// It was asked to stop.
    Stopping,
    /// It was terminated, or has stopped.
    Stopped,
}

impl Handler<WhichChildren> for Supervisor {
    type Result = MessageResult<WhichChildren>;

    fn handle(&mut self, _: WhichChildren, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.children.iter().map(ChildInfo::of).collect())
    }
}

impl ChildInfo {
    fn of(child: &Child) -> Self {
        let state = match child.state {
            State::Down => ChildState::Stopped,
            State::Up(..) => ChildState::Running,
            State::Waiting { gave_up: false, .. } => ChildState::Restarting,
            State::Waiting { gave_up: true, .. } => ChildState::GaveUp,
            State::Stopping(..) => ChildState::Stopping,
        };
        let Child { spec, since, restarts, last_exit, .. } = child;
        Self {
            id: spec.id.clone(),
            restart: spec.restart,
            state,
            since: *since,
            restarts: *restarts,
            last_exit: last_exit.clone(),
        }
    }
}
