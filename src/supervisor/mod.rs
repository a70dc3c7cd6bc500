//! An OTP supervisor for actix actors: one_for_one, permanent children, restart intensity.
//!
//! `actix::Supervisor` restarts an actor that stops, but never one that panics. This supervisor owns the task of each
//! child. It learns of every end and its cause, and its children die with it.

mod child;
mod exit;
mod intensity;
mod name;
mod thread;

use std::time::{Duration, Instant};

use actix::prelude::*;
use log::{error, info, warn};
use tokio::sync::oneshot;

pub use child::{Link, spawn, spawn_on};
pub use exit::{Exit, exit, panic_text};
pub use intensity::{Intensity, TooMany};
pub use name::{Name, NoAnswer};
pub use thread::thread;

/// Asks a child to finish its pending work and to stop.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// A running child: its link, and the address for a stop request.
pub struct Started {
    link: Link,
    stop: Recipient<Stop>,
}

impl Started {
    /// Starts `actor` on this thread.
    pub fn new<A>(actor: A) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Stop>,
    {
        let (addr, link) = spawn(actor);
        Self { link, stop: addr.recipient() }
    }

    /// Starts `actor` on this thread and registers it under `name`.
    pub fn named<A>(actor: A, name: &Name<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Stop>,
    {
        let (addr, link) = spawn(actor);
        name.register(addr.clone());
        Self { link, stop: addr.recipient() }
    }
}

/// Starts a child, each time that it is needed. Values that outlive the child belong to this function.
pub type Start = Box<dyn FnMut() -> Result<Started, String>>;

struct Child {
    name: String,
    start: Start,
    state: State,
}

enum State {
    /// Not started yet, or between two incarnations.
    Down,
    Up {
        link: SpawnHandle,
        stop: Recipient<Stop>,
    },
    /// Asked to stop; must not be restarted.
    Stopping {
        link: SpawnHandle,
        done: oneshot::Sender<()>,
    },
    Stopped,
}

/// Owns its children and restarts each one that ends, until the restart limit is exceeded.
pub struct Supervisor {
    children: Vec<Child>,
    intensity: Intensity,
    gave_up: Option<oneshot::Sender<GaveUp>>,
}

/// The supervisor failed: its children exceeded the restart limit.
#[derive(Debug, thiserror::Error)]
#[error("{child} ended ({exit}): {too_many}")]
pub struct GaveUp {
    child: String,
    exit: Exit,
    too_many: TooMany,
}

impl Supervisor {
    /// A supervisor without children, and the receiver that reports its failure.
    pub fn new(intensity: Intensity) -> (Self, oneshot::Receiver<GaveUp>) {
        let (gave_up, told) = oneshot::channel();
        (Self { children: Vec::new(), intensity, gave_up: Some(gave_up) }, told)
    }

    /// Adds a permanent child; children start in this order.
    pub fn child(
        mut self,
        name: impl Into<String>,
        start: impl FnMut() -> Result<Started, String> + 'static,
    ) -> Self {
        self.children.push(Child { name: name.into(), start: Box::new(start), state: State::Down });
        self
    }

    fn start(&mut self, index: usize, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(index) else { return };
        match (child.start)() {
            Ok(Started { link, stop }) => {
                let link = link.into_actor(self).map(move |exit, this, ctx| this.ended(index, exit, ctx));
                let link = ctx.spawn(link);
                if let Some(child) = self.children.get_mut(index) {
                    child.state = State::Up { link, stop };
                }
            }
            Err(reason) => self.ended(index, Exit::Failed(reason), ctx),
        }
    }

    fn ended(&mut self, index: usize, exit: Exit, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(index) else { return };
        if let State::Stopping { done, .. } = std::mem::replace(&mut child.state, State::Down) {
            child.state = State::Stopped;
            // The caller may have timed out.
            let _ = done.send(());
            return;
        }
        match self.intensity.note(Instant::now()) {
            Ok(recent) => {
                error!(
                    "{} ended: {exit}; restarting restart={recent} limit=\"{}\"",
                    child.name, self.intensity
                );
                // Through the mailbox: a child that fails to start must not cause recursion.
                ctx.notify(Restart(index));
            }
            Err(too_many) => {
                let child = child.name.clone();
                self.give_up(GaveUp { child, exit, too_many });
            }
        }
    }

    fn give_up(&mut self, reason: GaveUp) {
        if let Some(gave_up) = self.gave_up.take() {
            error!("the supervisor gives up: {reason}");
            let _ = gave_up.send(reason);
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        for index in 0..self.children.len() {
            self.start(index, ctx);
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Restart(usize);

impl Handler<Restart> for Supervisor {
    type Result = ();

    fn handle(&mut self, Restart(index): Restart, ctx: &mut Context<Self>) {
        // The child may have been terminated in between.
        if self.children.get(index).is_some_and(|child| matches!(child.state, State::Down)) {
            self.start(index, ctx);
        }
    }
}

/// Terminates all children whose names start with `prefix`, in parallel: each is asked to stop, killed after the
/// timeout, and not restarted. Resolves when all have ended, to the names of those that were killed.
#[derive(Message)]
#[rtype(result = "Vec<String>")]
pub struct Terminate {
    /// The prefix of the children's names.
    pub prefix: &'static str,
    /// The timeout.
    pub within: Duration,
}

impl Handler<Terminate> for Supervisor {
    type Result = ResponseActFuture<Self, Vec<String>>;

    fn handle(&mut self, Terminate { prefix, within }: Terminate, _: &mut Context<Self>) -> Self::Result {
        let stopping = self.children.iter_mut().enumerate();
        let stopping = stopping.filter(|(_, child)| child.name.starts_with(prefix));
        let stopping: Vec<_> = stopping.filter_map(|(index, child)| Some((index, child.stop()?))).collect();
        let deadline = tokio::time::Instant::now() + within;
        let all_ended = async move {
            let mut late = Vec::new();
            for (index, done) in stopping {
                if tokio::time::timeout_at(deadline, done).await.is_err() {
                    late.push(index);
                }
            }
            late
        };
        Box::pin(all_ended.into_actor(self).map(|late, this, ctx| {
            late.into_iter().filter_map(|index| this.children.get_mut(index)?.kill(ctx)).collect()
        }))
    }
}

impl Child {
    /// Asks the child to stop; the returned receiver resolves when it has stopped.
    fn stop(&mut self) -> Option<oneshot::Receiver<()>> {
        match std::mem::replace(&mut self.state, State::Stopped) {
            State::Up { link, stop } => {
                let (done, told) = oneshot::channel();
                stop.do_send(Stop);
                self.state = State::Stopping { link, done };
                info!("stopping {}", self.name);
                Some(told)
            }
            State::Down | State::Stopped => None,
            stopping @ State::Stopping { .. } => {
                self.state = stopping;
                None
            }
        }
    }

    /// Kills a child that has not stopped, and returns its name.
    fn kill(&mut self, ctx: &mut Context<Supervisor>) -> Option<String> {
        let State::Stopping { link, .. } = std::mem::replace(&mut self.state, State::Stopped) else {
            return None;
        };
        warn!("{} did not stop in time: killing it", self.name);
        ctx.cancel_future(link);
        Some(self.name.clone())
    }
}

#[cfg(test)]
mod tests;
