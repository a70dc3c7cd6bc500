//! The file while it is open.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use crate::database::{Identity, look};

/// An open file. SQLite goes on writing to a file, and to its write-ahead log, after somebody has moved or removed it; what
/// is confirmed then is nowhere to be found. So this remembers which ones they are.
pub(super) struct File {
    pub(super) connection: Connection,
    path: PathBuf,
    log: PathBuf,
    identity: Option<Identity>,
    log_identity: Option<Identity>,
    size: u64,
    /// Bytes of the log when it was last looked at.
    pub(super) log_size: u64,
}

impl File {
    pub(super) fn new(connection: Connection, path: PathBuf) -> Self {
        let log = beside(&path, "-wal");
        let (identity, size) = look(&path).map_or((None, 0), |(identity, size)| (Some(identity), size));
        Self { connection, path, log, identity, log_identity: None, size, log_size: 0 }
    }

    /// Whether what is open is still what stands at the path, and no shorter than before.
    pub(super) fn is_in_place(&mut self) -> bool {
        let Ok((identity, size)) = look(&self.path) else { return false };
        let is_whole = size >= std::mem::replace(&mut self.size, size);
        is_whole && self.identity == Some(identity) && self.log_is_in_place()
    }

    fn log_is_in_place(&mut self) -> bool {
        let found = look(&self.log).ok();
        self.log_size = found.map_or(0, |(_, size)| size);
        let present = found.map(|(identity, _)| identity);
        // It is made with the first transaction, and stays.
        self.log_identity = self.log_identity.or(present);
        self.log_identity == present
    }

    /// Closes what is not in place any more. What its log still holds goes to the file, wherever that is now: the next file
    /// of this name would lose it.
    pub(super) fn abandon(self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// Does all of `work` or, when it fails, nothing.
    pub(super) fn transaction(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&transaction)?;
        transaction.commit()
    }
}

/// The path of a file that SQLite keeps beside its own.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    beside.into()
}
