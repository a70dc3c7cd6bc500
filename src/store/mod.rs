//! What devices send: where it goes, and the answer when it is safe.
//!
//! Sessions hand their records to the store on their own threads. The actor supervises the background work of the
//! store. The store outlives the actor: batches that arrive during a restart wait in the store for the next
//! incarnation.

mod answer;
mod batch;
mod log;
mod outbox;
pub mod segments;
pub mod sqlite;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix::prelude::*;

use self::segments::SegmentStore;

use crate::faults::{Faults, Point};
use crate::supervisor::{Stop, exit};
use crate::{config, database};

pub use self::answer::{NotStored, Promise, answer_all};
pub use self::batch::{Batch, Origin, OriginRef};
pub use self::log::Log;
pub use self::outbox::{Answer, Entrusted, Fence, Outbox, Turn};

/// Stores data from devices.
pub trait Store: Send + Sync + 'static {
    /// This store, if it stores everything immediately. All others are given turns.
    fn now(&self) -> Option<&dyn StoreNow> {
        None
    }

    /// Takes the batches of one turn of a thread, in their order, and answers each of them later. It must not block,
    /// because it runs on the thread of the sessions.
    fn take(&self, turn: Turn<'_>);

    /// Starts the store's background work, for the store's actor to supervise. Only one runs at a time: after a fault,
    /// the next is started. A store that answers immediately has none.
    fn work(&self) -> Option<Work> {
        None
    }

    /// No more batches follow: pending ones must be answered, then the work must end.
    fn finish(&self) {}
}

/// A store that stores immediately, without blocking.
pub trait StoreNow {
    /// Stores the records of one read.
    fn store_now(&self, origin: OriginRef<'_>, batch: &Batch) -> Result<(), NotStored>;
}

/// Background work. Resolves when it has ended, as requested or by a fault.
pub type Work = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// The store that a config selects.
pub fn open(store: &config::Store, faults: &Faults) -> Result<Arc<dyn Store>, database::Error> {
    Ok(match store.kind {
        config::StoreKind::Log => Arc::new(Log::open()),
        config::StoreKind::Sqlite => {
            let lock = Arc::new(database::Lock::take(&store.path)?);
            Arc::new(SegmentStore::open(store.clone(), lock, faults.clone())?)
        }
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
