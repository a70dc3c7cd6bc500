//! The application: builds the tree from a config, drains it, stops it.
//!
//! | file | subject |
//! |---|---|
//! | `open` | sockets, credentials and the store of a config |
//! | `tree` | the threads and the children |
//! | `tls` `expiry` | the certificates of the listeners, and warnings before they expire |
//! | `listeners` `options` | the listeners of a running server, and what they are to be by the config |
//! | `reporter` `stall` `lag` | the line with all counters, workers that stand still, and those that are overloaded |
//! | `reload` `plan` | a new config for a running server, and its listeners |
//! | `stop` | the graceful shutdown |

mod expiry;
mod lag;
mod listeners;
mod open;
mod options;
mod plan;
mod reload;
mod reporter;
mod stall;
mod stop;
mod tls;
mod tree;

use std::sync::Arc;

use actix::prelude::*;
use actix_rt::Arbiter;
use tokio::sync::{oneshot, watch};

use crate::access::{Budget, Permits};
use crate::config::Config;
use crate::credentials::Current;
use crate::database::{Lock, State};
use crate::faults::Faults;
use crate::listener::Address;
use crate::registry::Table;
use crate::session::{OpenSessions, Sessions};
use crate::stats::Board;
use crate::store::Store;
use crate::supervisor::{GaveUp, Link, Name, Supervisor};

use reporter::Watched;

pub use listeners::{ListenerError, Listeners};
pub use open::{OpenError, Server};
pub use reload::{ReloadError, Reloaded};
pub use stop::Stopped;
pub use tls::{TlsError, certificates};

/// A server with its tree.
pub struct Running {
    supervisor: Addr<Supervisor>,
    link: Link,
    gave_up: oneshot::Receiver<GaveUp>,
    arbiters: Vec<Arbiter>,
    listeners: Arc<Listeners>,
    board: Board,
    sessions: Name<Sessions>,
    open: Arc<OpenSessions>,
    budget: Budget,
    strangers: Budget,
    table: Table,
    lock: Option<Arc<Lock>>,
    state: Option<State>,
    credentials: Current,
    store: Arc<dyn Store>,
    watched: watch::Sender<Watched>,
    faults: Faults,
    config: Config,
}

/// The id of the child that records rejected ids.
const REJECTED: &str = "rejected ids";

impl Running {
    /// The listeners, which can be added, removed, changed and paused.
    pub const fn listeners(&self) -> &Arc<Listeners> {
        &self.listeners
    }

    /// The address of each listener, in the order of the config; a port 0 has become a real one.
    pub fn addresses(&self) -> Vec<Address> {
        self.listeners.addresses()
    }

    /// The counters of each listener, and in total.
    pub const fn stats(&self) -> &Board {
        &self.board
    }

    /// The permits of each listener, in the order of the config.
    pub fn permits(&self) -> Vec<Permits> {
        self.listeners.permits()
    }

    /// Lets a listener accept nothing until it is resumed: clients wait in the backlog, and sessions go on.
    pub fn pause(&self, listener: &str) -> Result<(), ListenerError> {
        self.listeners.pause(listener)
    }

    /// Ends the pause of a listener.
    pub fn resume(&self, listener: &str) -> Result<(), ListenerError> {
        self.listeners.resume(listener)
    }

    /// Who is connected.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// The supervisor of all parts. Its messages add, stop and list children.
    pub const fn supervisor(&self) -> &Addr<Supervisor> {
        &self.supervisor
    }

    /// The parent of all sessions. Its messages list, configure and close sessions.
    pub const fn sessions(&self) -> &Name<Sessions> {
        &self.sessions
    }

    /// The number of sessions.
    pub const fn open(&self) -> &Arc<OpenSessions> {
        &self.open
    }

    /// What all authenticated sessions together have unanswered.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What all other connections together have unanswered.
    pub const fn strangers(&self) -> &Budget {
        &self.strangers
    }

    /// Faults on demand.
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Resolves when the supervisor has given up, to the reason.
    pub async fn gave_up(&mut self) -> String {
        match (&mut self.gave_up).await {
            Ok(reason) => reason.to_string(),
            Err(_) => format!("the supervisor itself ended: {}", (&mut self.link).await),
        }
    }
}
