//! The store `sqlite`: each SEND is a row of a file, and answered when that row is committed.
//!
//! Sessions hand their batches to a queue; one thread writes what has come while it wrote the last transaction in the next one
//! (group commit), and then answers. The queue lives as long as the store, the thread as long as the uplink's actor lets it.
//!
//! | file | subject |
//! |---|---|
//! | `queue` | from the sessions to the thread |
//! | `writer` | the thread: transactions, failures, recovery |
//! | `file` | the open file: transactions, and whether it is still the one that it was |
//! | `rows` | a transaction's rows |
//! | `retention` | what is removed, and when |
//! | `reader` | reading messages back, beside all that |

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
use super::store::{Batch, Origin, Store, Storing, Work, promise};
use crate::config;
use crate::database::{self, Error, Options, Timestamp};
use crate::faults::Faults;
use crate::supervisor::panic_text;

pub use self::reader::{Message, Reader, Selection, Summary};

/// The store.
pub struct Sqlite {
    settings: config::Uplink,
    queue: Arc<Queue>,
    faults: Faults,
}

impl Sqlite {
    /// A store in the file of the settings. Fails if somebody must do something about the file first; a disk that is full
    /// or a lock that somebody holds will pass, and the store waits for that.
    pub fn open(settings: config::Uplink, faults: Faults) -> Result<Self, Error> {
        match database::open(&options(&settings)) {
            Err(err) if err.is_lasting() => Err(err),
            Ok(_) | Err(_) => Ok(Self { settings, queue: Arc::default(), faults }),
        }
    }
}

impl Store for Sqlite {
    fn store(&self, origin: &Origin, batch: &mut Batch) -> Storing {
        let (promise, answer) = promise();
        let batch = std::mem::take(batch);
        self.queue.push(Entrusted { origin: origin.clone(), received_at: Timestamp::now(), batch, promise });
        Storing::Later(answer)
    }

    fn work(&self) -> Option<Work> {
        let (ended, end) = oneshot::channel();
        let writer = Writer::new(self.settings.clone(), self.queue.open(), self.faults.clone());
        let thread = thread::Builder::new().name("uplink".into()).spawn(move || {
            writer.run();
            // A panic drops it instead. Whoever watched may be gone.
            let _ = ended.send(());
        });
        Some(Box::pin(async {
            let thread = thread.map_err(|err| format!("the uplink needs a thread of its own: {err}"))?;
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

/// How the file is opened.
fn options(settings: &config::Uplink) -> Options {
    Options {
        path: settings.path.clone(),
        full: settings.synchronous == config::Synchronous::Full,
        lock_timeout: settings.lock_timeout,
    }
}

/// Why a thread ended that was not to.
fn end_of(thread: thread::JoinHandle<()>) -> String {
    match thread.join() {
        Ok(()) => "its thread ended".into(),
        Err(payload) => format!("its thread panicked: {}", panic_text(payload.as_ref())),
    }
}
