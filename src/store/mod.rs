//! What devices send: where it goes, and the answer when it is safe.
//!
//! Sessions hand their records to the store on their own threads. The actor supervises the background work of the
//! store. The store outlives the actor: batches that arrive during a restart wait in the store for the next
//! incarnation.

pub mod backup;
mod batch;
mod log;
pub mod segments;
pub mod sqlite;

use std::sync::Arc;

use actix::prelude::*;

use self::sqlite::SqliteStore;

use crate::faults::{Faults, Point};
use crate::supervisor::{Stop, exit};
use crate::{config, database};

pub use self::batch::{Answer, Batch, NotStored, Origin, Promise, Store, Storing, Work, promise};
pub use self::log::Log;

/// The store that a config selects.
pub fn open(store: &config::Store, faults: &Faults) -> Result<Arc<dyn Store>, database::Error> {
    Ok(match store.kind {
        config::StoreKind::Log => Arc::new(Log::open()),
        config::StoreKind::Sqlite => Arc::new(SqliteStore::open(store.clone(), faults.clone())?),
    })
}

/// The store's actor.
pub struct Upkeep {
    store: Arc<dyn Store>,
    faults: Faults,
    has_work: bool,
}

impl Upkeep {
    /// Makes an upkeep that supervises `store`.
    pub fn new(store: Arc<dyn Store>, faults: Faults) -> Self {
        Self { store, faults, has_work: false }
    }
}

impl Actor for Upkeep {
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
        ctx.spawn(self.faults.strike(Point::Store).into_actor(self));
    }
}

impl Handler<Stop> for Upkeep {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        self.store.finish();
        if !self.has_work {
            ctx.stop();
        }
    }
}
