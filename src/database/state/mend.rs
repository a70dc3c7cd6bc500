//! The content of a file that is not in its place any more, written to a file of its own.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::database::{Error, Timestamp, Trouble, beside, make_file, remove, sync_folder};

/// A complete copy of the content, which has no name of its own yet. Dropped, it is removed.
pub(super) struct Copy {
    part: PathBuf,
}

impl Copy {
    /// Copies what an open file contains, whatever became of its path. The copy is beside `path`.
    pub(super) fn of(connection: &Connection, path: &Path) -> Result<Self, Error> {
        let part = beside(path, ".part");
        remove(&part)?;
        make_file(&part).map_err(|source| Error::unreadable(&part, &source))?;
        let copy = Self { part };
        copy.fill(connection).map_err(|err| Error::of(path, &err))?;
        let synced = fs::File::open(&copy.part).and_then(|file| file.sync_all());
        synced.map_err(|source| Error::unreadable(&copy.part, &source))?;
        Ok(copy)
    }

    fn fill(&self, connection: &Connection) -> rusqlite::Result<()> {
        // VACUUM copies tables, and would not notice a damaged index.
        let sound = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))?;
        if sound != "ok" {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(code, Some(sound)));
        }
        connection.execute("VACUUM INTO ?", [Name(&self.part)]).map(drop)
    }

    /// Gives the copy a name, in place of whatever has it.
    pub(super) fn put(self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::unreadable(path, &source);
        fs::rename(&self.part, path).map_err(failed)?;
        path.parent().map_or(Ok(()), sync_folder).map_err(failed)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It has its name already, or is of no use.
        let _ = fs::remove_file(&self.part);
    }
}

/// Saves what an open file contains beside `path`, under a new name.
pub(super) fn save(connection: &Connection, path: &Path) -> Result<PathBuf, Error> {
    let time = Timestamp::now().to_string().replace(':', "");
    let saved = path.with_file_name(format!("state-{time}.db"));
    Copy::of(connection, &saved)?.put(&saved)?;
    Ok(saved)
}

/// Whether the content itself is at fault: waiting does not help.
pub(super) const fn is_unreadable(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Corrupt { .. } | Trouble::NotADatabase)
}

/// The name of a file, which need not be UTF-8.
struct Name<'a>(&'a Path);

impl ToSql for Name<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        use std::os::unix::ffi::OsStrExt;
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0.as_os_str().as_bytes())))
    }
}
