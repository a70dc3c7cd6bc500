//! The thread behind the writer: it makes the next segment ready, seals full ones, saves what is left of lost ones, and
//! lists the folder.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use log::debug;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rustix::fs::{Advice, fadvise};
use rustix::process::setpriority_process;
use rustix::thread::gettid;

use super::folder::{Folder, Segment};
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

/// How long another program may keep a full segment locked before it is an error: a short read is usual.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lowest priority of a thread.
const NICE: i32 = 19;

/// Permissions of a sealed segment: nothing writes it again.
const SEALED: u32 = 0o400;

/// Segments that are to be sealed. Nobody else in this process may open one of them: closing any descriptor of a file
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
    /// The list of the folder that was asked for.
    list: Option<Receiver<Listed>>,
    unsealed: Unsealed,
}

/// All segments, oldest first.
type Listed = Result<Vec<Segment>, Error>;

pub(super) enum Task {
    /// Make the next segment ready.
    Prepare,
    /// Seal this segment; it is open here, or nowhere.
    Seal(PathBuf, Option<Connection>),
    /// Save the messages of a segment whose files are lost, and drop the sender.
    Rescue(Remains, Sender<Infallible>),
    /// List the folder: with many segments that takes long.
    List(Sender<Listed>),
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
            due: 0,
            unsealed: unsealed.clone(),
            is_prepared: true,
        };
        // Without the thread, segments are neither prepared nor sealed, and nothing is lost.
        let thread = thread::Builder::new().name("sealer".into()).spawn(move || worker.run(&tasks));
        Self { sender: thread.ok().map(|_| sender), rescue: None, list: None, unsealed }
    }

    /// Has the messages of a segment saved.
    pub(super) fn rescue(&mut self, remains: Remains) {
        let (done, rescue) = channel();
        self.rescue = Some(rescue);
        // A list from before has the lost file.
        self.list = None;
        self.send(Task::Rescue(remains, done));
    }

    /// Waits until what was to be rescued is: its files are open nowhere else.
    pub(super) fn end_rescue(&mut self) {
        // Nothing is ever received: the other end is dropped, also by a panic.
        let _ = self.rescue.take().map(|rescue| rescue.recv());
    }

    /// Asks for a list of the folder, unless one is on its way.
    pub(super) fn ask_for_list(&mut self) {
        if self.list.is_none() {
            let (answer, list) = channel();
            self.list = Some(list);
            self.send(Task::List(answer));
        }
    }

    /// The list that was asked for, if it is there.
    pub(super) fn take_list(&mut self) -> Option<Listed> {
        match self.list.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => None,
            listed => {
                self.list = None;
                listed.ok()
            }
        }
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
    /// Segments that are tried before the next pause.
    due: usize,
    unsealed: Unsealed,
    is_prepared: bool,
    sealing: Outage,
    preparing: Outage,
}

impl Worker {
    fn run(mut self, tasks: &Receiver<Task>) {
        lower_priority();
        loop {
            let mut next = tasks.recv_timeout(self.pause());
            // All that wait are begun before a segment is sealed: a list comes in time also if many segments are full.
            while let Ok(task) = next {
                self.begin(task);
                next = tasks.try_recv().map_err(|_| RecvTimeoutError::Timeout);
            }
            self.prepare();
            match next {
                Err(RecvTimeoutError::Disconnected) => return self.seal_all(),
                _ if self.due > 0 => self.seal_next(),
                _ => self.due = self.waiting.len(),
            }
        }
    }

    /// The time until there is something to do, if no task comes.
    fn pause(&self) -> Duration {
        match (self.due > 0, self.waiting.is_empty() && self.is_prepared) {
            (true, _) => Duration::ZERO,
            (false, true) => Duration::MAX,
            (false, false) => PAUSE,
        }
    }

    fn begin(&mut self, task: Task) {
        match task {
            Task::Prepare => self.is_prepared = false,
            Task::Seal(path, connection) => {
                self.waiting.push_back(Full::new(path, connection));
                self.due = self.waiting.len();
            }
            Task::Rescue(remains, _done) => rescue::rescue(remains, &self.folder),
            // The writer may have no use for it any more.
            Task::List(answer) => drop(answer.send(self.folder.list())),
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
    fn seal_all(&mut self) {
        (0..self.waiting.len()).for_each(|_| self.seal_next());
    }

    /// Tries to seal the segment that was not tried for the longest time.
    fn seal_next(&mut self) {
        self.due = self.due.saturating_sub(1);
        let Some(mut full) = self.waiting.pop_front() else { return };
        match full.seal(self.writing, BETWEEN_PIECES) {
            Ok(()) => {
                self.unsealed.paths().remove(&full.path);
                self.sealing.works();
            }
            Err(err) => {
                self.note(&err, full.delay(Instant::now()));
                self.waiting.push_back(full);
            }
        }
    }

    fn note(&self, err: &Error, delay: Duration) {
        if is_usual(err, delay) {
            debug!(target: super::TARGET, "{err}; it is sealed later");
        } else {
            self.sealing.note(err, "it is sealed later; its messages can be read meanwhile", 0);
        }
    }
}

/// Whether a segment that is not sealed for so long is nothing that a person has to know.
fn is_usual(err: &Error, delay: Duration) -> bool {
    *err.trouble() == Trouble::Locked && delay < PATIENCE
}

/// Sessions and the writer go first.
fn lower_priority() {
    // Without it, they wait for the sealer at times.
    let _ = setpriority_process(Some(gettid()), NICE);
}

/// A segment that is full, but not sealed yet.
pub(super) struct Full {
    path: PathBuf,
    connection: Option<Connection>,
    /// The time of the first attempt that failed.
    failed_at: Option<Instant>,
}

impl Full {
    pub(super) const fn new(path: PathBuf, connection: Option<Connection>) -> Self {
        Self { path, connection, failed_at: None }
    }

    /// The time since the first attempt that failed, which is `now` if there was none.
    fn delay(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.failed_at.get_or_insert(now))
    }

    /// Seals it, with this pause between the pieces.
    pub(super) fn seal(&mut self, writing: Writing, pause: Duration) -> Result<(), Error> {
        // Somebody has removed it; it is missed elsewhere.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_another_program_is_an_error_only_if_it_lasts() {
        let mut full = Full::new(PathBuf::new(), None);
        let start = Instant::now();
        let mut is_usual = |trouble, after: Duration| {
            let delay = full.delay(start + after);
            super::is_usual(&Error::new(Path::new(""), trouble), delay)
        };
        assert!(is_usual(Trouble::Locked, Duration::ZERO));
        assert!(!is_usual(Trouble::Full, Duration::ZERO));
        assert!(is_usual(Trouble::Locked, PATIENCE - PAUSE));
        assert!(!is_usual(Trouble::Locked, PATIENCE));
    }
}
