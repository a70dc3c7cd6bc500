//! The state: what the server knows, in one small file, `state.db`.
//!
//! One thread writes, with group commit: jobs that arrive during a transaction are written by the next one. Look-ups
//! read through a few connections that this thread has opened. Nothing else in this process may open the file: closing
//! any descriptor of a file drops all POSIX locks that the process has on it, and `-wal` and `-shm` belong to a path,
//! not to an open file. Other processes may open it at any time.
//!
//! | file | subject |
//! |---|---|
//! | `job` | a change, and its answer |
//! | `writer` | the thread: transactions, and a look at the file every second |
//! | `file` | the open file: whether it is still in its place |
//! | `mark` | whether another file was copied over it |
//! | `mend` | what is done if it is not |
//! | `pool` | the connections that read |

mod file;
mod job;
mod mark;
mod mend;
mod pool;
mod writer;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use self::job::Job;
use self::pool::Pool;
use self::writer::{LIMITS, Writer};
use super::{Error, Lock, Queue, Trouble};

/// The name of the file in the folder of the data.
pub const STATE_FILE: &str = "state.db";

/// Maximum number of changes that wait to be written.
const MAX_WAITING: usize = 10_000;

/// What the server knows. A clone is the same state.
#[derive(Clone)]
pub struct State(Arc<Shared>);

/// A change under way.
pub type Writing<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// It outlives the thread, which may fail and be started again.
struct Shared {
    path: PathBuf,
    queue: Arc<Queue<Job>>,
    room: Arc<Semaphore>,
    pool: Arc<Pool>,
    writer: Mutex<Writer>,
}

impl State {
    /// The path of the file in the folder of the data.
    pub fn file(folder: &Path) -> PathBuf {
        folder.join(STATE_FILE)
    }

    /// Opens the state in the folder of `lock`, and creates it if it is missing. Fails if the file needs a person first.
    /// A full disk or a lock of another program is temporary, and the state waits for its end.
    pub fn open(lock: Arc<Lock>, lock_timeout: Duration) -> Result<Self, Error> {
        let path = Self::file(lock.folder());
        let pool = Arc::new(Pool::new(&path));
        let mut writer = Writer::new(lock, lock_timeout, Arc::clone(&pool))?;
        match writer.mend() {
            Ok(()) => {}
            Err(err) if err.is_lasting() => return Err(err),
            Err(err) => writer.fail(&err),
        }
        let (queue, room) = (Arc::default(), Arc::new(Semaphore::new(MAX_WAITING)));
        Ok(Self(Arc::new(Shared { path, queue, room, pool, writer: Mutex::new(writer) })))
    }

    /// Hands over a change. The future resolves when it is on the disk, or has failed; dropping the future does not stop the
    /// change. A change that fails is undone alone: it shares its transaction with others.
    pub fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Writing<T> {
        let Shared { path, queue, room, .. } = &*self.0;
        let fail = |trouble| Error::new(path, trouble);
        let interrupted = fail(Trouble::Interrupted);
        let answer = match Arc::clone(room).try_acquire_owned() {
            Ok(place) => {
                let (job, answer) = Job::new(work, place, interrupted.clone());
                queue.push(job);
                Ok(answer)
            }
            Err(_) => Err(fail(Trouble::Overloaded { most: MAX_WAITING })),
        };
        Box::pin(async move { answer?.await.unwrap_or(Err(interrupted)) })
    }

    /// Reads. To be called where blocking is allowed.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        self.0.pool.read(work)
    }

    /// Writes until [`State::finish`] is called: the body of the thread. After a panic it may be called again.
    pub fn run(&self) {
        let mut writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        super::write(&mut *writer, &self.0.queue, LIMITS);
    }

    /// Ends the thread when all waiting changes are written. The file is closed, and the folder released.
    pub fn finish(&self) {
        self.0.queue.close();
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

#[cfg(test)]
mod tests;
