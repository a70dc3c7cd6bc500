//! The connections that read. The writer opens them, and takes them back if the file is not in its place.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::database::{Error, Trouble};

/// The number of connections, and so of reads at the same time.
pub(super) const READERS: usize = 4;

pub(super) struct Pool {
    path: PathBuf,
    readers: Mutex<Readers>,
}

struct Readers {
    /// Counts the files so far: a connection to an earlier one is not used again.
    file: u64,
    /// Why there is none, if there is none.
    idle: Result<Vec<Connection>, Error>,
}

impl Pool {
    /// No connection yet.
    pub(super) fn new(path: &Path) -> Self {
        let idle = Err(Error::new(path, Trouble::Interrupted));
        Self { path: path.into(), readers: Mutex::new(Readers { file: 0, idle }) }
    }

    /// Replaces all connections.
    pub(super) fn publish(&self, connections: Vec<Connection>) {
        self.replace(Ok(connections));
    }

    /// Takes all connections back: reads fail for this reason. Those under way come to their end.
    pub(super) fn withdraw(&self, why: Error) {
        self.replace(Err(why));
    }

    fn replace(&self, idle: Result<Vec<Connection>, Error>) {
        let mut readers = self.readers();
        readers.file += 1;
        let before = std::mem::replace(&mut readers.idle, idle);
        drop(readers);
        // Closing takes system calls, which should delay no caller.
        drop(before);
    }

    /// Reads with one of them.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let reader = self.reader()?;
        let done = reader.connection.as_ref().map(work);
        let done = done.ok_or_else(|| Error::new(&self.path, Trouble::Interrupted))?;
        done.map_err(|err| Error::of(&self.path, &err))
    }

    fn reader(&self) -> Result<Reader<'_>, Error> {
        let mut readers = self.readers();
        let file = readers.file;
        let connection = readers.idle.as_mut().map_err(|why| why.clone())?.pop();
        let overloaded = || Error::new(&self.path, Trouble::Overloaded { most: READERS });
        Ok(Reader { pool: self, file, connection: Some(connection.ok_or_else(overloaded)?) })
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. It goes back also after a panic.
struct Reader<'a> {
    pool: &'a Pool,
    file: u64,
    connection: Option<Connection>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut readers = self.pool.readers();
        if readers.file == self.file
            && let Ok(idle) = &mut readers.idle
        {
            idle.extend(self.connection.take());
        }
    }
}
