//! Listeners: sockets, acceptors, and the decision who is let in. They know nothing of the trap protocol: what becomes of a
//! client is up to the [`StartSession`] that they are given.

mod acceptor;
mod door;
mod refusals;
mod socket;
mod stream;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use log::error;

use self::acceptor::Acceptor;
use crate::faults::{Faults, Point};
use crate::stats::Stats;
use crate::supervisor::{Stop, exit, spawn_on};

pub use door::{Connection, Door, StartSession};
pub use refusals::Refusals;
pub use socket::bind;
pub use stream::Stream;

/// Until the acceptors are tried again when there was no descriptor for one.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// A thread that sessions live on, and what is counted there.
#[derive(Clone)]
pub struct Worker {
    /// Runs the thread's actors.
    pub arbiter: ArbiterHandle,
    /// Its counters.
    pub stats: Arc<Stats>,
}

/// Owns the acceptors of one listening socket. If one of them dies, the listener dies with it.
pub struct Listener {
    // The supervisor's start function keeps another reference: while no acceptor runs, clients wait in its backlog.
    socket: Arc<TcpListener>,
    door: Arc<Door>,
    workers: Vec<Worker>,
    faults: Faults,
}

impl Listener {
    /// A listener with one acceptor on each of these workers.
    pub const fn new(
        socket: Arc<TcpListener>,
        door: Arc<Door>,
        workers: Vec<Worker>,
        faults: Faults,
    ) -> Self {
        Self { socket, door, workers, faults }
    }

    fn start_acceptors(&mut self, ctx: &mut Context<Self>) {
        let sockets: Result<Vec<_>, _> = self.workers.iter().map(|_| self.socket.try_clone()).collect();
        match sockets {
            Ok(sockets) => {
                let workers = self.workers.clone();
                sockets
                    .into_iter()
                    .zip(workers)
                    .for_each(|(socket, worker)| self.accept(socket, worker, ctx));
            }
            Err(err) => {
                error!("no acceptor listener={} cause=\"{err}\": trying again", self.door.listener);
                ctx.run_later(TRY_AGAIN, Self::start_acceptors);
            }
        }
    }

    fn accept(&self, socket: TcpListener, worker: Worker, ctx: &mut Context<Self>) {
        let (door, faults) = (Arc::clone(&self.door), self.faults.clone());
        let acceptor = move || Acceptor::new(socket, door, worker.stats, faults);
        let link = spawn_on(&worker.arbiter, acceptor);
        ctx.spawn(link.into_actor(self).map(|end, _, _| exit(format!("an acceptor ended: {end}"))));
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.start_acceptors(ctx);
        ctx.run_interval(refusals::SUMMARY_EVERY, |this, _| {
            this.door.refusals.summarise(&this.door.listener)
        });
        ctx.spawn(self.faults.strike(Point::Listener).into_actor(self));
    }
}

impl Handler<Stop> for Listener {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
