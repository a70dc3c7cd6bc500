//! The open file, and whether it is still in its place.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::mark::Mark;
use super::pool::READERS;
use crate::database::{
    self, Error, Identity, Options, STATE, Trouble, beside, identity_of, look, make_file,
    open_read_only_within, remove,
};

/// An open file, and the identities of all that SQLite opened by their paths.
pub(super) struct File {
    pub(super) connection: Connection,
    identity: Identity,
    /// Its path without links, beside which SQLite has the other two.
    path: PathBuf,
    log: Option<Identity>,
    index: Option<Identity>,
    size: u64,
    mark: Mark,
    /// Another file was copied over it, once and for all: its content is mixed with what SQLite has in memory.
    pub(super) is_overwritten: bool,
}

/// What became of the open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    Kept,
    /// No file is at its path, or an empty one.
    Missing,
    /// Another file is at its path.
    Replaced,
    /// Another file was copied over it.
    Overwritten,
    /// It has lost its end.
    CutShort,
    /// The write-ahead log or its index was removed or replaced.
    WithoutLog,
}

impl File {
    /// Opens the file, and connections that read it. It is created if it is missing and `creates` says so.
    pub(super) fn open(options: &Options, creates: bool) -> Result<(Self, Vec<Connection>), Error> {
        let at = &options.path;
        if creates {
            make_file(at).map_err(|source| Error::unreadable(at, &source))?;
        }
        let (identity, _) = look(at).map_err(|source| missing(at, &source))?;
        let path = fs::canonicalize(at).map_err(|source| Error::unreadable(at, &source))?;
        let connection = database::open(&STATE, options)?;
        let mark = Mark::set(&connection, &path).map_err(|err| Error::of(at, &err))?;
        let readers = (0..READERS).map(|_| reader(at, options.lock_timeout)).collect::<Result<_, Error>>()?;
        let size = look(at).map_or(0, |(_, size)| size);
        let [log, index] = ["-wal", "-shm"].map(|ending| identity_of(&beside(&path, ending)));
        let mut file = Self { connection, identity, path, log, index, size, mark, is_overwritten: false };
        // All of them must have opened the same file.
        if file.place(at)? != Place::Kept {
            file.abandon();
            let cause = "the file was replaced while it was opened".into();
            return Err(Error::new(at, Trouble::Failed { cause }));
        }
        Ok((file, readers))
    }

    /// What became of the file at this path.
    fn place(&mut self, at: &Path) -> Result<Place, Error> {
        let (identity, size) = match look(at) {
            Ok(found) => found,
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Place::Missing),
            Err(err) => return Err(Error::unreadable(at, &err)),
        };
        Ok(match identity == self.identity {
            false if size == 0 => Place::Missing,
            false => Place::Replaced,
            true if size < self.size && self.lacks_pages(size) => Place::CutShort,
            true if self.is_overwritten || !self.mark.is_there(&self.connection) => Place::Overwritten,
            true if !self.has_log() => Place::WithoutLog,
            true => Place::Kept,
        })
    }

    /// The same, and remembers how large the file is, and that it was overwritten.
    pub(super) fn check(&mut self, at: &Path) -> Result<Place, Error> {
        let place = self.place(at)?;
        self.is_overwritten |= place == Place::Overwritten;
        if place == Place::Kept {
            self.size = look(at).map_or(self.size, |(_, size)| size);
        }
        Ok(place)
    }

    fn has_log(&self) -> bool {
        [("-wal", self.log), ("-shm", self.index)]
            .into_iter()
            .all(|(ending, identity)| identity_of(&beside(&self.path, ending)) == identity)
    }

    /// Whether a file of this size is too small. It may shrink: another program can give free pages back.
    fn lacks_pages(&self, size: u64) -> bool {
        let number = |pragma| self.connection.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0));
        match (number("page_count"), number("page_size")) {
            (Ok(pages), Ok(bytes)) => size < pages * bytes,
            _ => true,
        }
    }

    /// Moves the write-ahead log into the file, unless another program reads: a file that is moved by mistake, or copied,
    /// is whole then. Returns the size of the log before.
    pub(super) fn empty_log(&self, lock_timeout: Duration) -> rusqlite::Result<u64> {
        let size = look(&beside(&self.path, "-wal")).map_or(0, |(_, size)| size);
        if size > 0 {
            self.connection.busy_timeout(Duration::ZERO)?;
            let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            self.connection.busy_timeout(lock_timeout)?;
            emptied?;
        }
        Ok(size)
    }

    /// Removes the write-ahead log and its index from the path, if they belong to this file: they must not be taken for
    /// those of another one.
    pub(super) fn remove_log(&self) -> Result<(), Error> {
        for (ending, identity) in [("-wal", self.log), ("-shm", self.index)] {
            let path = beside(&self.path, ending);
            if identity.is_some() && identity_of(&path) == identity {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Closes a file that is not in its place. Nothing is done to the files that have its paths now.
    pub(super) fn abandon(self) {
        keep_files(&self.connection);
    }
}

fn reader(path: &Path, lock_timeout: Duration) -> Result<Connection, Error> {
    let connection = open_read_only_within(&STATE, path, lock_timeout)?;
    keep_files(&connection);
    Ok(connection)
}

/// SQLite removes the write-ahead log when the last connection is closed, by its path: another file may have it.
fn keep_files(connection: &Connection) {
    // It cannot fail: the option is known.
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

fn missing(path: &Path, source: &std::io::Error) -> Error {
    match source.kind() {
        ErrorKind::NotFound => Error::new(path, Trouble::Missing),
        _ => Error::unreadable(path, source),
    }
}
