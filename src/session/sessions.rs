//! The parent of all sessions: what is asked of many of them goes through this actor. It is not on the way of a frame,
//! and its own crash ends no session: their lists belong to their threads, the count and the threads to its start
//! function.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use log::{info, warn};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::call::{Order, SessionInfo, Which};
use super::host::{self, Host, OpenSessions};
use crate::config;
use crate::faults::{Faults, Point};
use crate::supervisor::{Stop, exit, spawn_on};

/// The log target of this actor: its lines are the server's, not those of single sessions, which are dropped first.
const TARGET: &str = "trap_server::server";

/// Timeout for the answers of a worker. The sessions of one that stands still are missing in the result.
const ANSWER: Duration = Duration::from_secs(5);

/// The parent of all sessions.
pub struct Sessions {
    workers: Vec<ArbiterHandle>,
    open: Arc<OpenSessions>,
    faults: Faults,
}

impl Sessions {
    /// The parent of the sessions on these threads, see [`install`](super::install).
    pub const fn new(workers: Vec<ArbiterHandle>, open: Arc<OpenSessions>, faults: Faults) -> Self {
        Self { workers, open, faults }
    }

    /// Gives an order to the sessions, and collects their answers.
    fn call(&self, order: &Order) -> impl Future<Output = Vec<SessionInfo>> + 'static {
        let ask = |worker: &ArbiterHandle| {
            let (done, answers) = oneshot::channel();
            let order = order.clone();
            worker.spawn_fn(move || host::call(order, done));
            answers
        };
        let asked: Vec<_> = self.workers.iter().map(ask).collect();
        let deadline = Instant::now() + ANSWER;
        async move {
            let mut all = Vec::new();
            for answers in asked {
                all.extend(timeout_at(deadline, answers).await.ok().and_then(Result::ok).unwrap_or_default());
            }
            all
        }
    }
}

impl Actor for Sessions {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        for worker in &self.workers {
            let clock = spawn_on(worker, || Clock).into_actor(self);
            ctx.spawn(clock.map(|end, _, _| exit(format!("the clock of a worker ended: {end}"))));
        }
        ctx.spawn(self.faults.strike(Point::Sessions).into_actor(self));
    }
}

/// Runs the timer of a worker's sessions, linked to [`Sessions`].
pub(super) struct Clock;

impl Actor for Clock {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(host) = Host::present() {
            ctx.spawn(Rc::clone(&host.roll).run().into_actor(self));
            ctx.spawn(host.setup.faults.strike(Point::Clock).into_actor(self));
        }
    }
}

impl Handler<Stop> for Sessions {
    type Result = ();

    /// Every session answers what it has received, and closes.
    fn handle(&mut self, Stop { deadline }: Stop, ctx: &mut Context<Self>) {
        let (open, before) = (Arc::clone(&self.open), self.open.count());
        self.workers.iter().for_each(|worker| _ = worker.spawn_fn(host::stop_all));
        let ended = async move {
            match timeout_at(deadline, open.none()).await {
                Ok(()) => info!(target: TARGET, "stopped {before} sessions"),
                Err(_) => say_cut_off(before, open.count()),
            }
        };
        ctx.spawn(ended.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

fn say_cut_off(before: usize, cut_off: usize) {
    let stopped = before.saturating_sub(cut_off);
    warn!(target: TARGET, "stopped {stopped} sessions, cut off {cut_off} that did not end in time");
}

/// Replaces the `[session]` section. A deadline that is set already stays as it is.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Configure(pub config::Session);

impl Handler<Configure> for Sessions {
    type Result = ();

    fn handle(&mut self, Configure(settings): Configure, _: &mut Context<Self>) {
        for worker in &self.workers {
            let settings = settings.clone();
            worker.spawn_fn(|| host::configure(settings));
        }
    }
}

/// Closes idle sessions one after the other, evenly over this time, with the reason `drained`. Sessions that are busy at
/// their moment are closed when they are idle. CONNECT is answered `connect_failure` from now on. Resolves when every session
/// has its moment.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct DrainSessions(pub Duration);

impl Handler<DrainSessions> for Sessions {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, DrainSessions(over): DrainSessions, _: &mut Context<Self>) -> Self::Result {
        let called = self.call(&Order::Drain(over));
        Box::pin(async move { _ = called.await })
    }
}

/// Lists sessions.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<SessionInfo>")]
pub struct ListSessions(pub Which);

impl Handler<ListSessions> for Sessions {
    type Result = ResponseFuture<Vec<SessionInfo>>;

    fn handle(&mut self, ListSessions(which): ListSessions, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.call(&Order::List(which)))
    }
}

/// Closes sessions: each answers what it has received, and ends with the reason `closed`. Resolves to those that close
/// for this request; they may still be sending their last answers.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<SessionInfo>")]
pub struct CloseSessions(pub Which);

impl Handler<CloseSessions> for Sessions {
    type Result = ResponseFuture<Vec<SessionInfo>>;

    fn handle(&mut self, CloseSessions(which): CloseSessions, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.call(&Order::Close(which)))
    }
}
