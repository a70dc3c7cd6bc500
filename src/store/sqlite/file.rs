//! The open file.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use crate::database::{Identity, look};

/// An open file. SQLite keeps writing to a file and its write-ahead log after they were moved or removed, and confirmed
/// records would be lost. So this type remembers the identity of both files.
pub(super) struct File {
    pub(super) connection: Connection,
    path: PathBuf,
    log: PathBuf,
    identity: Option<Identity>,
    log_identity: Option<Identity>,
    size: u64,
    /// Size of the log at the last check, in bytes.
    pub(super) log_size: u64,
}

impl File {
    pub(super) fn new(connection: Connection, path: PathBuf) -> Self {
        let log = beside(&path, "-wal");
        let (identity, size) = look(&path).map_or((None, 0), |(identity, size)| (Some(identity), size));
        Self { connection, path, log, identity, log_identity: None, size, log_size: 0 }
    }

    /// Whether the open files are still the ones at the path, and not shorter than before.
    pub(super) fn is_in_place(&mut self) -> bool {
        let Ok((identity, size)) = look(&self.path) else { return false };
        let is_whole = size >= std::mem::replace(&mut self.size, size);
        is_whole && self.identity == Some(identity) && self.log_is_in_place()
    }

    fn log_is_in_place(&mut self) -> bool {
        let found = look(&self.log).ok();
        self.log_size = found.map_or(0, |(_, size)| size);
        let present = found.map(|(identity, _)| identity);
        // The log is created with the first transaction, and stays.
        self.log_identity = self.log_identity.or(present);
        self.log_identity == present
    }

    /// Closes a file that is no longer at its path. The rest of its log goes to the file, wherever that is now: the
    /// next file of this name would discard it.
    pub(super) fn abandon(self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// Runs all of `work`, or nothing of it if it fails.
    pub(super) fn transaction(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&transaction)?;
        transaction.commit()
    }
}

/// The path of a file that SQLite keeps beside its database.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    beside.into()
}
