//! The store `sqlite`: messages are rows of a log of segments, a file each, and are answered after their commit.
//!
//! Sessions hand their batches to a queue. One thread writes: each transaction contains the batches that arrived during
//! the one before (group commit); then the thread answers. One segment is open. When it is full the thread goes on in the
//! next one, which another thread made ready before, and that thread seals the full one: its write-ahead log is copied
//! into its file, and it is never written again. The queue lives as long as the store, the threads as long as its actor.
//!
//! | file | subject |
//! |---|---|
//! | `folder` | the names of segments, and their order |
//! | `segment` | a file: its tables, and whether it is sealed |
//! | `writer` | the writer thread: transactions, full segments, failures, recovery |
//! | `newest` | the segment with which a start goes on |
//! | `open` `rows` | the open segment, and the rows of a transaction |
//! | `next` `sealer` | the segment that is ready, and the thread that makes it and seals full ones |
//! | `seal` | the sealing of one segment |
//! | `retention` | removal of old segments |
//! | `rescue` `orphan` | what is saved of a segment whose files are lost |
//! | `upgrade` | the single file of former versions becomes a segment |
//! | `reader` | reading messages back, while a server writes |

pub mod folder;
mod newest;
mod next;
mod open;
mod orphan;
pub mod reader;
mod rescue;
mod retention;
mod rows;
#[cfg(test)]
pub(crate) mod sample;
mod seal;
mod sealer;
pub mod segment;
mod upgrade;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};

use log::info;

use self::folder::Folder;
use self::newest::open_newest;
use self::open::Open;
use self::retention::Keep;
use self::upgrade::Upgraded;
use self::writer::{Known, Writer, writing};
use super::{Entrusted, Store, Turn, Work};
use crate::config;
use crate::database::{self, Error, Job, Limits, Lock, Queue, Room};
use crate::faults::Faults;
use crate::supervisor::thread;

/// The log target of lines about the store.
const TARGET: &str = "trap_server::store";

/// The store.
pub struct SegmentStore {
    settings: config::Store,
    lock: Arc<Lock>,
    queue: Arc<Queue<Entrusted>>,
    known: Known,
    /// For the first writer thread, so that its log is read only once.
    opened: Mutex<Option<Open>>,
    faults: Faults,
}

impl Job for Entrusted {
    fn rows(&self) -> usize {
        self.batch.len()
    }

    fn bytes(&self) -> usize {
        self.batch.bytes()
    }
}

impl SegmentStore {
    /// Makes a store in the folder of `lock`. Fails if a file needs a person first. A full disk or a lock of another
    /// program is temporary, and the store waits for its end.
    pub fn open(settings: config::Store, lock: Arc<Lock>, faults: Faults) -> Result<Self, Error> {
        let opened = match open_newest(&lock, 1, writing(&settings)) {
            Err(err) if err.is_lasting() => return Err(err),
            opened => Mutex::new(opened.ok()),
        };
        let known = Known::new(Keep::new(&settings));
        Ok(Self { settings, lock, queue: Arc::default(), known, opened, faults })
    }
}

/// Makes the single file of former versions the first segment, and its ids the state. To be called before either is
/// opened.
pub fn upgrade(settings: &config::Store, lock: &Lock) -> Result<(), Error> {
    if let Some(Upgraded { first_id, last_id }) = upgrade::upgrade(lock.folder(), writing(settings))? {
        info!(
            target: TARGET,
            "the file of a former version is a segment now: messages {first_id} to {last_id} are in {}, the ids in \
             state.db",
            Folder::of(lock.folder()).segment(first_id).display()
        );
    }
    Ok(())
}

impl Store for SegmentStore {
    fn take(&self, turn: Turn<'_>) {
        self.queue.extend(|jobs| turn.hand_over(|entrusted| jobs.push_back(entrusted)));
    }

    fn work(&self) -> Option<Work> {
        let (lock, known, queue) = (Arc::clone(&self.lock), self.known.clone(), Arc::clone(&self.queue));
        let (settings, faults) = (self.settings.clone(), self.faults.clone());
        let room = Room { rows: settings.batch_records, bytes: settings.batch_bytes };
        let open = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        let limits = Limits { room, time: settings.batch_time };
        Some(Box::pin(thread("store", move || {
            let mut writer = Writer::new(settings, lock, &known, open, faults);
            writer.start();
            database::write(&mut writer, &queue, limits);
        })))
    }

    fn configure(&self, settings: &config::Store) {
        self.known.keep.set(settings);
    }

    fn finish(&self) {
        self.queue.close();
    }
}
