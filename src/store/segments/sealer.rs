//! The thread behind the writer: it makes the next segment ready, seals full ones, and saves what is left of lost ones.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::debug;
use rusqlite::Connection;
use rustix::process::setpriority_process;
use rustix::thread::gettid;

use super::folder::{Folder, Segment};
use super::next;
use super::open::Writing;
use super::rescue::{self, Remains};
use super::seal::Full;
use crate::database::{Error, Trouble};
use crate::faults::{Faults, Point};
use crate::logging::Outage;

/// Interval of retries.
const PAUSE: Duration = Duration::from_secs(1);

/// The time between two pieces of a segment that are written to the disk.
const BETWEEN_PIECES: Duration = Duration::from_millis(10);

/// How long another program may keep a full segment locked before it is an error: a short read is usual.
const PATIENCE: Duration = Duration::from_secs(10);

/// A third of the usual share of a processor: enough that segments are sealed faster than they fill on a busy machine.
const NICE: i32 = 5;

/// Segments that are to be sealed. No other code in this process may open one of them: closing any descriptor of a file
/// drops the locks that SQLite has on it.
#[derive(Clone, Default)]
pub(super) struct Unsealed(Arc<Mutex<HashSet<PathBuf>>>);

impl Unsealed {
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.paths().contains(path)
    }

    /// Forgets them: the thread that had them has ended, and their files are closed.
    pub(super) fn forget(&self) {
        self.paths().clear();
    }

    fn paths(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread. It ends when this is dropped, after its current task.
pub(super) struct Sealer {
    sender: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
    /// Whether somebody waits for its end.
    hurries: Arc<AtomicBool>,
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
    pub(super) fn start(folder: Folder, writing: Writing, unsealed: Unsealed, faults: Faults) -> Self {
        let ((sender, tasks), hurries) = (channel(), Arc::new(AtomicBool::new(false)));
        let worker = Worker {
            sealing: Outage::none(format!("sealing segments in {}", folder.path().display())),
            preparing: Outage::none(format!("preparing the next segment in {}", folder.path().display())),
            folder,
            writing,
            waiting: VecDeque::new(),
            due: 0,
            unsealed: unsealed.clone(),
            is_prepared: true,
            hurries: Arc::clone(&hurries),
            faults,
        };
        // Without the thread, segments are neither prepared nor sealed, and nothing is lost.
        let thread = thread::Builder::new().name("sealer".into()).spawn(move || worker.run(&tasks));
        Self { sender: Some(sender), thread: thread.ok(), hurries, rescue: None, list: None, unsealed }
    }

    /// Whether the thread has ended, by a panic, or could not be started.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end of the thread, which does what it was asked to without pauses. Its files are closed then.
    pub(super) fn finish(&mut self) {
        self.hurries.store(true, Ordering::Relaxed);
        self.sender = None;
        // After a panic, a start seals what is left.
        let _ = self.thread.take().map(JoinHandle::join);
    }

    /// Has the messages of a segment saved.
    pub(super) fn rescue(&mut self, remains: Remains) {
        let (done, rescue) = channel();
        self.rescue = Some(rescue);
        // A list from before has the lost file.
        self.list = None;
        self.send(Task::Rescue(remains, done));
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
    hurries: Arc<AtomicBool>,
    faults: Faults,
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
        self.faults.trip(Point::Sealer);
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
        // A disk that is too slow for pauses is too slow anyway.
        let has_time = || self.waiting.is_empty() && !self.hurries.load(Ordering::Relaxed);
        let pause = || thread::sleep(if has_time() { BETWEEN_PIECES } else { Duration::ZERO });
        match full.seal(self.writing, &pause) {
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
