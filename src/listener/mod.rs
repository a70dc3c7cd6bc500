//! Listeners: sockets, acceptors, and the decision who is let in. They know nothing of the trap protocol: what becomes of a
//! client is up to the [`StartSession`] that they are given. A server of another protocol needs [`Options`], a [`Base`], and
//! a [`Listener`] as a child of its supervisor.
//!
//! | file | subject |
//! |---|---|
//! | `mod.rs` `acceptor` | the listener and its acceptors |
//! | `base` | what outlives them, and can change while they run |
//! | `options` | what a listener is to be |
//! | `listening` `socket` `unix` `failure` | its sockets |
//! | `door` `gate` | who is let in, and when |
//! | `admitted` `stream` | what a session gets |
//! | `handshake` [`tls`] | what comes before it, with TLS |
//! | `spread` `trouble` `exhaustion` `journal` | keepalive out of step, errors of accept(2), a shortage, the log |

mod acceptor;
mod admitted;
mod base;
mod common;
mod door;
mod exhaustion;
mod failure;
mod gate;
mod handshake;
mod journal;
mod limits;
mod listening;
mod options;
pub mod proxy_protocol;
mod queue;
mod socket;
mod spread;
mod stream;
pub mod tls;
mod trouble;
mod unix;

use std::sync::Arc;

use actix::prelude::*;

use self::acceptor::Acceptor;
use self::base::Share;
use crate::faults::Point;
use crate::supervisor::{Stop, exit, spawn_on};

pub use crate::address::{Address, Peer};
pub use admitted::Admitted;
pub use base::Base;
pub use common::{Common, Worker};
pub use door::StartSession;
pub use failure::BindError;
pub use gate::{Gate, Hold};
pub use journal::Journal;
pub use limits::{ConnectionRate, SharedLimits};
pub use listening::Listening;
pub use options::{Keepalive, Options, SocketOptions};
pub use socket::Socket;
pub use stream::Stream;

/// Owns the acceptors of a [`Base`]. If one of them dies, the listener dies with it.
pub struct Listener {
    base: Arc<Base>,
}

impl Listener {
    /// A listener with the acceptors of this base.
    pub const fn new(base: Arc<Base>) -> Self {
        Self { base }
    }

    fn accept(&self, share: Share, ctx: &mut Context<Self>) {
        let Share { worker: Worker { arbiter, gate }, stats, sockets } = share;
        let (door, faults) = (Arc::clone(&self.base.door), self.base.faults.clone());
        let link = spawn_on(&arbiter, move || Acceptor { sockets, door, gate, stats, faults });
        ctx.spawn(link.into_actor(self).map(|end, _, _| exit(format!("an acceptor ended: {end}"))));
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.base.shares().into_iter().for_each(|share| self.accept(share, ctx));
        ctx.run_interval(exhaustion::CALM, |Self { base }, _| base.door.exhaustion.look(base.name()));
        ctx.run_interval(journal::WINDOW, |Self { base }, _| base.journal().summarise());
        ctx.spawn(self.base.faults.strike(Point::Listener).into_actor(self));
    }
}

impl Handler<Stop> for Listener {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[cfg(test)]
mod tests;
