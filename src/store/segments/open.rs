//! The open segment: the one that is written.
//!
//! It is never checkpointed while it is open: its file is as it was made, and all of its rows are in its write-ahead log.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use super::rows::Last;
use super::segment::SCHEMA;
use crate::database::{self, Error, Identity, Jobs, Options, beside, look, remove, size};
use crate::store::Entrusted;

/// Approximate growth of the write-ahead log by a transaction and by a row, apart from the data, in bytes.
const TRANSACTION: u64 = 12 << 10;
const ROW: u64 = 100;

/// The open segment.
pub(super) struct Open {
    connection: Connection,
    pub(super) path: PathBuf,
    pub(super) first_id: i64,
    pub(super) last: Last,
    /// The time of its first row.
    pub(super) first_at: Option<i64>,
    pub(super) file: Identity,
    log: Option<Identity>,
    /// Bytes of the log at the last check.
    checked: u64,
    /// Bytes of the file and its log when they were looked at.
    seen: u64,
    /// Approximate bytes that were written since.
    written: u64,
}

/// What happened to the files of an open segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    #[error("it was moved or removed")]
    Gone,
    #[error("another file has its path")]
    Replaced,
    #[error("it was cut short")]
    Cut,
    #[error("its write-ahead log was moved or removed")]
    LogGone,
    #[error("its write-ahead log was cut short")]
    LogCut,
}

/// How a segment is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writing {
    /// Whether each transaction is synced.
    pub(super) full: bool,
    /// Timeout for locks of other programs.
    pub(super) lock_timeout: Duration,
}

/// Opens a segment for writing, also for sealing it. Creates it if it is missing.
pub(super) fn connect(path: &Path, writing: Writing) -> Result<Connection, Error> {
    let Writing { full, lock_timeout } = writing;
    let connection = database::open(&SCHEMA, &Options { path: path.into(), full, lock_timeout })?;
    let configure = || {
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
    };
    configure().map_err(|err| Error::of(path, &err))?;
    Ok(connection)
}

impl Open {
    /// Opens the segment at `path`, whose first id is or will be `first_id`.
    pub(super) fn new(path: &Path, first_id: i64, writing: Writing) -> Result<Self, Error> {
        let connection = connect(path, writing)?;
        let sqlite = |err| Error::of(path, &err);
        let last = Last::read(&connection, first_id).map_err(sqlite)?;
        let first_at = connection.query_row("SELECT min(id), received_at FROM message", [], |row| row.get(1));
        let first_at = first_at.map_err(sqlite)?;
        let (file, seen) = look(path).map_err(|err| Error::unreadable(path, &err))?;
        let path = path.to_path_buf();
        let mut open = Self {
            connection,
            path,
            first_id,
            last,
            first_at,
            file,
            log: None,
            checked: 0,
            seen,
            written: 0,
        };
        open.measure();
        Ok(open)
    }

    /// Writes all jobs in one transaction, or none of them.
    pub(super) fn commit(
        &mut self,
        jobs: &mut Jobs<'_, Entrusted>,
        before_commit: impl FnOnce(),
    ) -> Result<(), Error> {
        let mut last = self.last;
        let mut rows = 0;
        let written = (|| {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            loop {
                let batches = jobs.more();
                if batches.is_empty() {
                    break;
                }
                self.first_at = self.first_at.or(batches.first().map(|first| first.received_at.0));
                rows += batches
                    .iter()
                    .map(|one| one.batch.bytes() as u64 + ROW * one.batch.len() as u64)
                    .sum::<u64>();
                last.insert(&transaction, batches)?;
            }
            before_commit();
            transaction.commit()
        })();
        written.map_err(|err| Error::of(&self.path, &err))?;
        self.last = last;
        self.written += TRANSACTION + rows;
        Ok(())
    }

    /// Whether it has reached this size, in bytes.
    pub(super) fn is_full(&mut self, size: u64) -> bool {
        if self.seen + self.written >= size {
            self.measure();
        }
        self.seen >= size
    }

    /// Whether it is larger than this size, in bytes.
    pub(super) fn is_large(&self, size: u64) -> bool {
        self.log_size() > size
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.last.id < self.first_id
    }

    fn measure(&mut self) {
        self.seen = size(&self.path) + size(&beside(&self.path, "-wal"));
        self.written = 0;
    }

    /// Looks whether its files are still there, and as long as they must be.
    pub(super) fn check(&mut self) -> Result<(), Lost> {
        match look(&self.path) {
            Ok((found, _)) if found != self.file => return Err(Lost::Replaced),
            // Only the sealer copies anything into it, and it was made with its tables.
            Ok((_, size)) if size < MADE => return Err(Lost::Cut),
            Ok(_) => {}
            Err(_) => return Err(Lost::Gone),
        }
        let found = look(&beside(&self.path, "-wal")).ok();
        let log = found.map(|(log, _)| log);
        // The log is created with the first transaction, and stays.
        self.log = self.log.or(log);
        if self.log != log {
            return Err(Lost::LogGone);
        }
        let size = self.log_size();
        if found.map_or(0, |(_, found)| found) < size || self.has_hole(size) {
            return Err(Lost::LogCut);
        }
        self.checked = size;
        self.measure();
        Ok(())
    }

    /// Whether the log was cut short and has grown since: there is a hole at its beginning, or where its end was at the last
    /// check. It may be read by another descriptor, as SQLite has no locks on it.
    fn has_hole(&self, size: u64) -> bool {
        let Ok(log) = fs::File::open(beside(&self.path, "-wal")) else { return false };
        let is_empty = |at| {
            let mut word = [0; 4];
            log.read_exact_at(&mut word, at).is_ok() && word == [0; 4]
        };
        let last = self.checked.checked_sub(FRAME);
        size > 0 && (is_empty(0) || last.is_some_and(|last| is_empty(HEADER + last)))
    }

    /// Bytes that the log must have at least, as SQLite knows it.
    fn log_size(&self) -> u64 {
        let frames = self.connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1));
        frames.ok().and_then(|frames| u64::try_from(frames).ok()).map_or(0, |frames| frames * FRAME)
    }

    /// Gives the connection away: nothing more is written.
    pub(super) fn into_parts(self) -> (Connection, PathBuf) {
        (self.connection, self.path)
    }
}

/// Bytes of a file without rows: three pages.
const MADE: u64 = 3 * 4096;

/// Bytes before the first page in the log.
const HEADER: u64 = 32;

/// Bytes of a page in the log.
const FRAME: u64 = 24 + 4096;

/// Makes an empty file with the tables, which is complete or not there.
pub(super) fn make(path: &Path, writing: Writing) -> Result<(), Error> {
    // What an interrupted start has left.
    ["", "-wal", "-shm"].iter().try_for_each(|ending| remove(&beside(path, ending)))?;
    let connection = connect(path, Writing { full: true, ..writing })?;
    let checkpointed =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    let closed = checkpointed.and_then(|_| {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.close().map_err(|(_, err)| err)
    });
    closed.map_err(|err| Error::of(path, &err))
}
