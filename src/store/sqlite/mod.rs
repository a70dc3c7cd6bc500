//! The store `sqlite`: each SEND becomes a row of a file, and is answered after its commit.
//!
//! Sessions hand their batches to a queue. One thread writes: each transaction contains the batches that arrived during
//! the one before (group commit); then the thread answers. The queue lives as long as the store, the thread as long as
//! its actor.
//!
//! | file | subject |
//! | `queue` | the queue from the sessions to the thread |
//! | `queue` | from the sessions to the thread |
//! | `writer` | the thread: transactions, failures, recovery |
//! | `file` | the open file: transactions, and the check that it is still the same file |
//! | `rows` | the rows of a transaction |
//! | `retention` | removal of old messages |

mod file;
mod queue;
mod retention;
mod rows;
mod writer;

use std::sync::Arc;

use self::queue::{Entrusted, Queue};
use self::writer::Writer;
use super::{Batch, Origin, Store, Storing, Work, promise};
use crate::config;
use crate::database::{self, Error, Options, Timestamp};
use crate::faults::Faults;
use crate::supervisor::thread;

/// The store.
pub struct SqliteStore {
    settings: config::Store,
    queue: Arc<Queue>,
    faults: Faults,
}

impl SqliteStore {
    /// Makes a store in the file of the settings. Fails if the file needs a person first. A full disk or a lock of
    /// another program is temporary, and the store waits for its end.
    pub fn open(settings: config::Store, faults: Faults) -> Result<Self, Error> {
        match database::open(&database::SINGLE, &options(&settings)) {
            Err(err) if err.is_lasting() => Err(err),
            Ok(_) | Err(_) => Ok(Self { settings, queue: Arc::default(), faults }),
        }
    }
}

impl Store for SqliteStore {
    fn store(&self, origin: &Origin, batch: &mut Batch) -> Storing {
        let (promise, answer) = promise();
        let batch = std::mem::take(batch);
        self.queue.push(Entrusted { origin: origin.clone(), received_at: Timestamp::now(), batch, promise });
        Storing::Later(answer)
    }

    fn work(&self) -> Option<Work> {
        let writer = Writer::new(self.settings.clone(), self.queue.open(), self.faults.clone());
        Some(Box::pin(thread("store", move || writer.run())))
    }

    fn finish(&self) {
        self.queue.close();
    }
}

/// The options for opening the file.
fn options(settings: &config::Store) -> Options {
    Options {
        path: settings.file(),
        full: settings.synchronous == config::Synchronous::Full,
        lock_timeout: settings.lock_timeout,
    }
}
