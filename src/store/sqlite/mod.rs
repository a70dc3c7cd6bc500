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
//! | `reader` | reading messages back, while the thread writes |

mod file;
mod queue;
mod reader;
mod retention;
mod rows;
mod writer;

use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use self::queue::{Entrusted, Queue};
use self::writer::Writer;
use super::{Batch, Origin, Store, Storing, Work, promise};
use crate::config;
use crate::database::{self, Error, Options, Timestamp};
use crate::faults::Faults;
use crate::supervisor::panic_text;

pub use self::reader::{Message, Reader, Selection, Summary};

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
        match database::open(&options(&settings)) {
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
        let (ended, end) = oneshot::channel();
        let writer = Writer::new(self.settings.clone(), self.queue.open(), self.faults.clone());
        let thread = thread::Builder::new().name("store".into()).spawn(move || {
            writer.run();
            // After a panic the sender is dropped instead. The receiver may be gone.
            let _ = ended.send(());
        });
        Some(Box::pin(async {
            let thread = thread.map_err(|err| format!("cannot start the store's thread: {err}"))?;
            match end.await {
                Ok(()) => Ok(()),
                Err(_) => Err(end_of(thread)),
            }
        }))
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

/// The reason why a thread ended unexpectedly.
fn end_of(thread: thread::JoinHandle<()>) -> String {
    match thread.join() {
        Ok(()) => "its thread ended".into(),
        Err(payload) => format!("its thread panicked: {}", panic_text(payload.as_ref())),
    }
}
