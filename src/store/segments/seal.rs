//! The sealing of a full segment: its write-ahead log is copied into its file, and removed.

use std::fs::{self, Permissions};
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use log::debug;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rustix::fs::{Advice, fadvise};

use super::open::{Writing, connect};
use super::segment;
use crate::database::{Error, Trouble, beside, sync_folder};

/// Bytes of a segment that are written to the disk together.
const PIECE: u64 = 2 << 20;

/// Permissions of a sealed segment: nothing writes it again.
const SEALED: u32 = 0o400;

/// A segment that is full, but not sealed yet.
pub(super) struct Full {
    pub(super) path: PathBuf,
    connection: Option<Connection>,
    /// The time of the first attempt that failed.
    failed_at: Option<Instant>,
}

impl Full {
    pub(super) const fn new(path: PathBuf, connection: Option<Connection>) -> Self {
        Self { path, connection, failed_at: None }
    }

    /// The time since the first attempt that failed, which is `now` if there was none.
    pub(super) fn delay(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.failed_at.get_or_insert(now))
    }

    /// Seals it, with this pause between the pieces.
    pub(super) fn seal(&mut self, writing: Writing, pause: &dyn Fn()) -> Result<(), Error> {
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
fn copy(connection: &Connection, file: &fs::File, path: &Path, pause: &dyn Fn()) -> Result<(), Error> {
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
            pause();
            at += PIECE;
        }
        file.sync_data()
    };
    flush().map_err(|err: std::io::Error| Error::unreadable(path, &err))
}

/// Frees a removed log piece by piece, because the disk may take long for all of it. If that fails, it is freed when it is
/// closed.
fn free(log: &fs::File, pause: &dyn Fn()) {
    let mut size = log.metadata().map_or(0, |found| found.len());
    while size > 0 {
        size = size.saturating_sub(PIECE);
        if log.set_len(size).is_err() {
            return;
        }
        pause();
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
