//! The thread behind the writer: it makes the next segment ready, seals full ones, and saves what is left of lost ones.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use log::debug;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rustix::fs::{Advice, fadvise};
use rustix::process::setpriority_process;
use rustix::thread::gettid;

use super::folder::Folder;
use super::open::{Writing, connect};
use super::rescue::{self, Remains};
use super::{next, segment};
use crate::database::{Error, Trouble, beside, sync_folder};
use crate::logging::Outage;

/// Interval of retries.
const PAUSE: Duration = Duration::from_secs(1);

/// Bytes of a segment that are written to the disk together, and the time between them.
const PIECE: u64 = 2 << 20;
const BETWEEN_PIECES: Duration = Duration::from_millis(10);

/// A third of the usual share of a processor: enough that segments are sealed faster than they fill on a busy machine.
const NICE: i32 = 5;

/// Permissions of a sealed segment: nothing writes it again.
const SEALED: u32 = 0o400;

/// Segments that are to be sealed. No other code in this process may open one of them: closing any descriptor of a file
/// drops the locks that SQLite has on it.
#[derive(Clone, Default)]
pub(super) struct Unsealed(Arc<Mutex<HashSet<PathBuf>>>);

impl Unsealed {
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.paths().contains(path)
    }

    fn paths(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread. It ends when this is dropped, after its current task.
pub(super) struct Sealer {
    sender: Option<Sender<Task>>,
    /// Closed when the last rescue has ended.
    rescue: Option<Receiver<Infallible>>,
    unsealed: Unsealed,
}

pub(super) enum Task {
    /// Make the next segment ready.
    Prepare,
    /// Seal this segment; it is open here, or nowhere.
    Seal(PathBuf, Option<Connection>),
    /// Save the messages of a segment whose files are lost, and drop the sender.
    Rescue(Remains, Sender<Infallible>),
}

impl Sealer {
    pub(super) fn start(folder: Folder, writing: Writing, unsealed: Unsealed) -> Self {
        let (sender, tasks) = channel();
        let worker = Worker {
            sealing: Outage::none(format!("sealing segments in {}", folder.path().display())),
            preparing: Outage::none(format!("preparing the next segment in {}", folder.path().display())),
            folder,
            writing,
            waiting: VecDeque::new(),
            unsealed: unsealed.clone(),
            is_prepared: true,
        };
        // Without the thread, segments are neither prepared nor sealed, and nothing is lost.
        let thread = thread::Builder::new().name("sealer".into()).spawn(move || worker.run(&tasks));
        Self { sender: thread.ok().map(|_| sender), rescue: None, unsealed }
    }

    /// Has the messages of a segment saved.
    pub(super) fn rescue(&mut self, remains: Remains) {
        let (done, rescue) = channel();
        self.rescue = Some(rescue);
        self.send(Task::Rescue(remains, done));
    }

    /// Waits until what was to be rescued is: its files are open nowhere else.
    pub(super) fn end_rescue(&mut self) {
        // Nothing is ever received: the other end is dropped, also by a panic.
        let _ = self.rescue.take().map(|rescue| rescue.recv());
    }

    pub(super) fn send(&self, task: Task) {
        if let Task::Seal(path, _) = &task {
            self.unsealed.paths().insert(path.clone());
        }
        // A thread that has panicked is replaced together with the writer; a start seals what it has left.
        if let Some(sender) = &self.sender {
            let _ = sender.send(task);
        }
    }
}

struct Worker {
    folder: Folder,
    writing: Writing,
    waiting: VecDeque<Full>,
    unsealed: Unsealed,
    is_prepared: bool,
    sealing: Outage,
    preparing: Outage,
}

impl Worker {
    fn run(mut self, tasks: &Receiver<Task>) {
        lower_priority();
        loop {
            let is_idle = self.waiting.is_empty() && self.is_prepared;
            match tasks.recv_timeout(if is_idle { Duration::MAX } else { PAUSE }) {
                Ok(Task::Prepare) => self.is_prepared = false,
                Ok(Task::Seal(path, connection)) => self.waiting.push_back(Full { path, connection }),
                Ok(Task::Rescue(remains, _done)) => rescue::rescue(remains, &self.folder),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.prepare();
            self.seal();
        }
    }

    fn prepare(&mut self) {
        if self.is_prepared {
            return;
        }
        match next::prepare(&self.folder, self.writing) {
            Ok(()) => {
                self.is_prepared = true;
                self.preparing.works();
            }
            Err(err) => self.preparing.note(&err, "the next segment begins later", 0),
        }
    }

    /// Tries to seal each segment once.
    fn seal(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(mut full) = self.waiting.pop_front() else { return };
            // A disk that is too slow for pauses is too slow anyway.
            let pause = if self.waiting.is_empty() { BETWEEN_PIECES } else { Duration::ZERO };
            match full.seal(self.writing, pause) {
                Ok(()) => {
                    self.unsealed.paths().remove(&full.path);
                    self.sealing.works();
                }
                Err(err) => {
                    self.sealing.note(&err, "it is sealed later; its messages can be read meanwhile", 0);
                    self.waiting.push_back(full);
                }
            }
        }
    }
}

/// Sessions and the writer go first.
fn lower_priority() {
    // Without it, they wait for the sealer at times.
    let _ = setpriority_process(Some(gettid()), NICE);
}

/// A segment that is full, but not sealed yet.
pub(super) struct Full {
    pub(super) path: PathBuf,
    pub(super) connection: Option<Connection>,
}

impl Full {
    /// Seals it, with this pause between the pieces.
    pub(super) fn seal(&mut self, writing: Writing, pause: Duration) -> Result<(), Error> {
        // It was removed by another program, which the retention reports.
        if self.connection.is_none() && !self.path.exists() {
            return Ok(());
        }
        if self.connection.is_some() || !segment::is_sealed(&self.path)? {
            let connection = self.connection.take().map_or_else(|| connect(&self.path, writing), Ok)?;
            let connection = self.connection.insert(connection);
            // Closed behind the connection: a file that is closed drops the locks that SQLite has on it.
            let file = fs::File::open(&self.path).map_err(|err| Error::unreadable(&self.path, &err))?;
            let log = fs::OpenOptions::new().write(true).open(beside(&self.path, "-wal")).ok();
            let sealed =
                copy(connection, &file, &self.path, pause).and_then(|()| remove_log(connection, &self.path));
            if sealed.is_ok() {
                // Nothing is left to be copied when it is closed.
                self.connection = None;
                log.iter().for_each(|log| free(log, pause));
            }
            drop(file);
            sealed?;
        }
        finish(&self.path)?;
        debug!(target: super::TARGET, "sealed {}", self.path.display());
        Ok(())
    }
}

/// Copies the write-ahead log into the file, and writes the file to the disk piece by piece: a single sync would delay
/// those of the open segment by all of it.
fn copy(connection: &Connection, file: &fs::File, path: &Path, pause: Duration) -> Result<(), Error> {
    let sqlite = |err| Error::of(path, &err);
    // The log keeps everything until the file is synced.
    connection.pragma_update(None, "synchronous", "off").map_err(sqlite)?;
    let copied = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get::<_, bool>(0));
    connection.pragma_update(None, "synchronous", "full").map_err(sqlite)?;
    if copied.map_err(sqlite)? {
        return Err(Error::new(path, Trouble::Locked));
    }
    let flush = || {
        let size = file.metadata()?.len();
        let mut at = 0;
        while at < size {
            fadvise(file, at, NonZero::new(PIECE), Advice::DontNeed)?;
            thread::sleep(pause);
            at += PIECE;
        }
        file.sync_data()
    };
    flush().map_err(|err: std::io::Error| Error::unreadable(path, &err))
}

/// Frees a removed log piece by piece, because the disk may take long for all of it. If that fails, it is freed when it is
/// closed.
fn free(log: &fs::File, pause: Duration) {
    let mut size = log.metadata().map_or(0, |found| found.len());
    while size > 0 {
        size = size.saturating_sub(PIECE);
        if log.set_len(size).is_err() {
            return;
        }
        thread::sleep(pause);
    }
}

/// Copies the write-ahead log into the file, and removes it.
pub(super) fn checkpoint(connection: &Connection, path: &Path) -> Result<(), Error> {
    let busy: bool = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .map_err(|err| Error::of(path, &err))?;
    if busy {
        return Err(Error::new(path, Trouble::Locked));
    }
    remove_log(connection, path)
}

/// Removes the write-ahead log, which is copied.
fn remove_log(connection: &Connection, path: &Path) -> Result<(), Error> {
    let sqlite = |err| Error::of(path, &err);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(sqlite)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0))
        .map_err(sqlite)?;
    if mode == "delete" { Ok(()) } else { Err(Error::new(path, Trouble::Locked)) }
}

/// Takes a file that has no write-ahead log any more from all writers.
pub(super) fn finish(path: &Path) -> Result<(), Error> {
    let finish = || {
        for ending in ["-wal", "-shm"] {
            // Usually there is none.
            let _ = fs::remove_file(beside(path, ending));
        }
        fs::set_permissions(path, Permissions::from_mode(SEALED))?;
        fs::File::open(path)?.sync_all()?;
        path.parent().map_or(Ok(()), sync_folder)
    };
    finish().map_err(|err| Error::unreadable(path, &err))
}
