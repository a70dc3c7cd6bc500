//! Segments as a server writes them: rows in the write-ahead log of the newest one, and others sealed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use trap_server::database::{self, Lock, Options};
use trap_server::store::segments::folder::Folder;
use trap_server::store::segments::segment::SCHEMA;

use crate::child::{PATIENCE, eventually};

/// A time in the year 2026, in microseconds.
const START: i64 = 1_795_539_600_000_000;

/// Writes segments in the place of a server.
pub struct Writer {
    data: PathBuf,
    _lock: Lock,
    open: Connection,
    pub next: i64,
}

impl Writer {
    /// Begins with the id 1, in the folder `data` of this folder.
    pub fn new(folder: &Path) -> Self {
        Self::from(folder, 1)
    }

    pub fn from(folder: &Path, next: i64) -> Self {
        let data = folder.join("data");
        let lock = Lock::take(&data).unwrap();
        Self { open: begin(&data, next), data, _lock: lock, next }
    }

    /// Stores a message.
    pub fn send(&mut self, client: &str, data: &[u8]) {
        let sql = "INSERT INTO message VALUES (?, ?, ?, '127.0.0.1:1', 'test', 'session', ?)";
        let mut insert = self.open.prepare_cached(sql).unwrap();
        insert.execute((self.next, START + self.next, client, data)).unwrap();
        self.next += 1;
    }

    /// Stores messages of `one`.
    pub fn send_many(&mut self, count: i64) {
        self.open.execute_batch("BEGIN").unwrap();
        (0..count).for_each(|_| self.send("one", b"hi"));
        self.open.execute_batch("COMMIT").unwrap();
    }

    /// Begins the next segment, and leaves this one unsealed.
    pub fn roll(&mut self) -> Unsealed {
        let next = begin(&self.data, self.next);
        Unsealed(std::mem::replace(&mut self.open, next))
    }

    pub fn path(&self, first_id: i64) -> PathBuf {
        path(&self.data, first_id)
    }
}

/// A segment that is full.
pub struct Unsealed(Connection);

impl Unsealed {
    /// Seals it, as soon as no reader has it open.
    pub fn seal(self) {
        let path = PathBuf::from(self.0.path().unwrap());
        eventually("the segment is sealed", || {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            let busy = self.0.query_row(checkpoint, [], |row| row.get::<_, i32>(0));
            busy == Ok(0) && self.0.pragma_update(None, "journal_mode", "delete").is_ok()
        });
        fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
    }
}

pub fn path(data: &Path, first_id: i64) -> PathBuf {
    Folder::of(data).segment(first_id)
}

/// A new segment, open for writing.
pub fn begin(data: &Path, first_id: i64) -> Connection {
    let options = Options { path: path(data, first_id), full: false, lock_timeout: PATIENCE };
    let connection = database::open(&SCHEMA, &options).unwrap();
    // What the log has is not to be copied before the segment is sealed.
    connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    connection
}

/// Makes a segment unreadable.
pub fn damage(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[100..4096].fill(0xff);
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
}
