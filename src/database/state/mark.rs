//! A mark in the header of the file, by which the server notices that another file was copied over it.
//!
//! `cp other.db state.db` changes neither the path nor the inode, and SQLite does not notice it: with a write-ahead log it
//! reads the header only once. The mark is the schema version, which is set to a random number when the server opens the
//! file. A copy that is made by SQLite (`VACUUM INTO`, and so a backup) has another one. The mark is read through a
//! connection that ignores the log and forgets what it has read: a plain file would drop the locks of SQLite when it is
//! closed.

use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// The most changes of the schema by another program between two looks.
const STEPS: u32 = 100;

/// The mark of an open file.
pub(super) struct Mark {
    raw: Connection,
    own: u32,
    /// The mark of an earlier start, until the own one is copied from the log into the file.
    before: Option<u32>,
}

impl Mark {
    /// Marks the file at `path`, which `connection` has open.
    pub(super) fn set(connection: &Connection, path: &Path) -> rusqlite::Result<Self> {
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let raw = Connection::open_with_flags(immutable(path), flags)?;
        // Otherwise a file that has grown since is damaged: this connection remembers its size.
        raw.execute_batch("PRAGMA writable_schema = on")?;
        let before = read(&raw)?;
        let random = u32::try_from(RandomState::new().hash_one(before) >> 33).unwrap_or(before);
        // With a full disk or a lock, the file keeps the mark that it has.
        let own = connection.pragma_update(None, "schema_version", random).map_or(before, |()| random);
        // It comes from the log into the file, unless another program reads.
        let _ = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        Ok(Self { raw, own, before: Some(before) })
    }

    /// Whether the file that `connection` has open has the mark. If it cannot be read for another reason than its content,
    /// it is believed to.
    pub(super) fn is_there(&mut self, connection: &Connection) -> bool {
        match read(&self.raw) {
            Ok(found) if found == self.own || self.is_changed(found, connection) => {
                (self.own, self.before) = (found, None);
                true
            }
            Ok(found) => Some(found) == self.before,
            Err(err) => {
                let code = err.sqlite_error_code();
                !matches!(code, Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
            }
        }
    }

    /// Whether another program has changed the mark by SQLite's means: a `VACUUM` or an index adds one, and `connection`
    /// learns it from the log.
    fn is_changed(&self, found: u32, connection: &Connection) -> bool {
        let is_next = found.checked_sub(self.own).is_some_and(|more| (1..=STEPS).contains(&more));
        is_next && version(connection) == Ok(found)
    }
}

/// The mark that the file has now.
fn read(raw: &Connection) -> rusqlite::Result<u32> {
    raw.execute_batch("PRAGMA shrink_memory")?;
    version(raw)
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "schema_version", |row| row.get(0))
}

/// The address of a file that is read as if nobody wrote it: without its log and without locks.
fn immutable(path: &Path) -> String {
    let escaped = path.as_os_str().as_bytes().iter().map(|byte| match byte {
        b'/' | b'.' | b'-' | b'_' => char::from(*byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    });
    format!("file:{}?immutable=1", escaped.collect::<String>())
}
