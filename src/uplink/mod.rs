//! The uplink: receives data from devices, and answers when it is safe.
//!
//! Sessions hand their records to the store on their own threads. The actor supervises the background work of the
//! store. The store outlives the actor: batches that arrive during a restart wait in the store for the next
//! incarnation.

mod log;
pub mod sqlite;
pub mod store;

use std::sync::Arc;

use actix::prelude::*;

use self::sqlite::SqliteStore;
use self::store::Store;
use crate::faults::{Faults, Point};
use crate::supervisor::{Stop, exit};
use crate::{config, database};

pub use self::log::Log;

/// The store that a config selects.
pub fn open(uplink: &config::Uplink, faults: &Faults) -> Result<Arc<dyn Store>, database::Error> {
    Ok(match uplink.store {
        config::Store::Log => Arc::new(Log::open()),
        config::Store::Sqlite => Arc::new(SqliteStore::open(uplink.clone(), faults.clone())?),
    })
}

/// The uplink's actor.
pub struct Uplink {
    store: Arc<dyn Store>,
    faults: Faults,
    has_work: bool,
}

impl Uplink {
    /// Makes an uplink that supervises `store`.
    pub fn new(store: Arc<dyn Store>, faults: Faults) -> Self {
        Self { store, faults, has_work: false }
    }
}

impl Actor for Uplink {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(work) = self.store.work() {
            // Linked: the actor ends when its work ends.
            ctx.spawn(work.into_actor(self).map(|end, _, ctx| match end {
                Ok(()) => ctx.stop(),
                Err(reason) => exit(reason),
            }));
            self.has_work = true;
        }
        ctx.spawn(self.faults.strike(Point::Uplink).into_actor(self));
    }
}

impl Handler<Stop> for Uplink {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        self.store.finish();
        if !self.has_work {
            ctx.stop();
        }
    }
}
