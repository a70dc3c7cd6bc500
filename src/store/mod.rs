//! The stores of messages, and the answer when a message is safe.
//!
//! Sessions hand their records to the store on their own threads. The actor supervises the background work of the
//! store. The store outlives the actor: batches that arrive during a restart wait in the store for the next
//! incarnation.

mod answer;
pub mod backup;
mod batch;
mod log;
mod outbox;
pub mod segments;

use std::sync::Arc;

use self::segments::SegmentStore;
use crate::config::{self, StoreKind};
use crate::database::{Error, Lock};
use crate::faults::Faults;
use crate::supervisor::Background;
pub use crate::supervisor::Work;

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

    /// Settings have changed; those that need a restart have not.
    fn configure(&self, settings: &config::Store) {
        let _ = settings;
    }

    /// No more batches follow: pending ones must be answered, then the work must end.
    fn finish(&self) {}
}

/// A store that stores immediately, without blocking.
pub trait StoreNow {
    /// Stores the records of one read.
    fn store_now(&self, origin: OriginRef<'_>, batch: &Batch) -> Result<(), NotStored>;
}

/// The store that a config selects. The one with files needs `lock`, the lock of their folder.
pub fn open(
    store: &config::Store,
    lock: Option<&Arc<Lock>>,
    faults: &Faults,
) -> Result<Arc<dyn Store>, Error> {
    Ok(match (store.kind, lock) {
        (StoreKind::Sqlite, Some(lock)) => {
            Arc::new(SegmentStore::open(store.clone(), Arc::clone(lock), faults.clone())?)
        }
        (StoreKind::Log | StoreKind::Sqlite, _) => Arc::new(Log::open()),
    })
}

/// The store's work, for its actor.
impl Background for Arc<dyn Store> {
    fn work(&self) -> Option<Work> {
        self.as_ref().work()
    }

    fn finish(&self) {
        self.as_ref().finish();
    }
}
