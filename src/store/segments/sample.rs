//! Segments for tests, written and sealed as a server does it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::folder::Folder;
use super::segment::SCHEMA;
use crate::database::{self, Options};

/// A row, with data of this size.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) id: i64,
    pub(crate) at: i64,
    pub(crate) client: &'static str,
    pub(crate) bytes: usize,
}

/// `count` rows from the id `first` on, received at their id less one.
pub(crate) fn regular(first: i64, count: i64) -> Vec<Sent> {
    (first..first + count).map(|id| Sent { id, at: id - 1, client: "a", bytes: 1 }).collect()
}

/// A folder of data. Segments that are not sealed stay open.
pub(crate) struct Sample {
    data: TempDir,
    open: Vec<Connection>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("messages")).unwrap();
        Self { data, open: Vec::new() }
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn folder(&self) -> Folder {
        Folder::of(self.data())
    }

    pub(crate) fn path(&self, first_id: i64) -> PathBuf {
        self.folder().segment(first_id)
    }

    /// Begins a segment.
    pub(crate) fn begin(&mut self, first_id: i64) -> &Connection {
        let options = Options { path: self.path(first_id), full: false, lock_timeout: Default::default() };
        self.open.push(database::open(&SCHEMA, &options).unwrap());
        self.newest()
    }

    /// The connection to the newest segment.
    pub(crate) fn newest(&self) -> &Connection {
        self.open.last().unwrap()
    }

    /// Writes rows to the newest segment.
    pub(crate) fn insert(&self, sent: &[Sent]) {
        let connection = self.newest();
        connection.execute_batch("BEGIN").unwrap();
        for Sent { id, at, client, bytes } in sent {
            let sql = "INSERT INTO message VALUES (?, ?, ?, '127.0.0.1:1', 'trap', 'session', zeroblob(?))";
            connection.prepare_cached(sql).unwrap().execute((id, at, client, bytes)).unwrap();
        }
        for pair in sent.windows(2).filter(|pair| pair[1].at < pair[0].at) {
            connection.execute("INSERT INTO clock_step VALUES (?)", [pair[0].id + 1]).unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
    }

    /// Seals the newest segment.
    pub(crate) fn seal(&mut self) {
        let connection = self.open.pop().unwrap();
        seal(&connection).unwrap();
        let path = connection.path().unwrap().to_owned();
        drop(connection);
        fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
    }

    /// A sealed segment with these rows.
    pub(crate) fn sealed(&mut self, sent: &[Sent]) -> PathBuf {
        let first_id = sent[0].id;
        self.begin(first_id);
        self.insert(sent);
        self.seal();
        self.path(first_id)
    }
}

/// Seals a segment, unless a reader keeps it open.
pub(crate) fn seal(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i32>(0))?;
    connection.pragma_update(None, "journal_mode", "delete")
}

/// Makes a segment unreadable from its tables on.
pub(crate) fn damage(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[100..4096].fill(0xff);
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
}
