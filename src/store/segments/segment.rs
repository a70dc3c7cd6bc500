//! A segment as a file: its tables, and whether it is sealed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use crate::database::{self, Error, Schema};

/// The tables of a segment: "trsg".
///
/// The id is the only index of `message`: an index on client and time would cost several times the insert itself. The
/// ids follow the time of receipt, so a time is found by bisection. Wherever the clock was set back, a new run begins:
/// `clock_step` has the first id of each. Times are microseconds since 1970, UTC.
pub const SCHEMA: Schema = Schema {
    application: 0x7472_7367,
    migrations: &["
    CREATE TABLE message (
        id INTEGER PRIMARY KEY,
        received_at INTEGER NOT NULL, -- microseconds since 1970, UTC
        client TEXT NOT NULL,
        peer TEXT NOT NULL,
        listener TEXT NOT NULL,
        mode TEXT NOT NULL, -- 'session' or 'one-shot'
        data BLOB NOT NULL
    ) STRICT;
    CREATE TABLE clock_step (first_id INTEGER PRIMARY KEY) STRICT;
"],
};

/// The byte of a database file that says how it is written, and its value for a rollback journal: with a write-ahead
/// log it is 2.
const WRITE_VERSION: usize = 18;
const ROLLBACK: u8 = 1;

/// The permission to write, of anybody.
const WRITABLE: u32 = 0o222;

/// Whether a segment is sealed: it has no write-ahead log, and is never written again. The last step of sealing takes
/// the permission to write away; without that step a segment that is just being created would look sealed too.
pub fn is_sealed(path: &Path) -> io::Result<bool> {
    let mut head = [0; WRITE_VERSION + 1];
    let mut file = File::open(path)?;
    let is_writable = file.metadata()?.permissions().mode() & WRITABLE != 0;
    match file.read_exact(&mut head) {
        Ok(()) => Ok(!is_writable && head.last() == Some(&ROLLBACK)),
        // Not even the tables are there yet.
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(err) => Err(err),
    }
}

/// Opens a segment for reading. A sealed one is read without locks, and needs no file beside it.
pub fn open_read_only(path: &Path) -> Result<Connection, Error> {
    match is_sealed(path).map_err(|err| Error::unreadable(path, &err))? {
        true => database::open_unchanging(&SCHEMA, path),
        false => database::open_read_only(&SCHEMA, path),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::segments::sample::{Sample, regular};

    #[test]
    fn a_segment_is_sealed_after_the_last_step_only() {
        let mut sample = Sample::new();
        let path = sample.path(1);
        fs::write(&path, "").unwrap();
        assert!(!is_sealed(&path).unwrap());
        let creating = Connection::open(&path).unwrap();
        creating.execute_batch("CREATE TABLE message (id)").unwrap();
        assert!(!is_sealed(&path).unwrap());
        drop(creating);
        fs::remove_file(&path).unwrap();
        sample.begin(1);
        sample.insert(&regular(1, 1));
        assert!(!is_sealed(&path).unwrap());
        sample.seal();
        assert!(is_sealed(&path).unwrap());
        // A copy that an operator may write to is read as any database.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!is_sealed(&path).unwrap());
        assert!(open_read_only(&path).is_ok());
    }
}
