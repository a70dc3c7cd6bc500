//! A segment as a file: its tables, and whether it is sealed.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use crate::database::{self, Error, MESSAGES, Schema};

/// The tables of a segment: "trsg".
///
/// The id is the only index of `message`: an index on client and time would cost several times the insert itself. The
/// ids follow the time of receipt, so a time is found by bisection. Wherever the clock was set back, a new run begins:
/// `clock_step` has the first id of each. Times are microseconds since 1970, UTC.
pub const SCHEMA: Schema = Schema { application: 0x7472_7367, migrations: &[&[MESSAGES]] };

/// Whether a segment is sealed: it has no write-ahead log, and is never written again. SQLite is asked, because the server
/// may have the file open: closing any other descriptor of it would drop the locks that SQLite has on it.
pub fn is_sealed(path: &Path) -> Result<bool, Error> {
    is_sealed_in(&open_read_only(path)?, path)
}

/// The same of an open segment.
pub(super) fn is_sealed_in(connection: &Connection, path: &Path) -> Result<bool, Error> {
    let mode = connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
    Ok(mode.map_err(|err| failed(path, &err))? != "wal")
}

/// Opens a segment for reading.
pub fn open_read_only(path: &Path) -> Result<Connection, Error> {
    database::open_read_only(&SCHEMA, path).map_err(explained)
}

/// The error of a segment. What to do about a damaged one depends on whether it is sealed.
pub(crate) fn failed(path: &Path, err: &rusqlite::Error) -> Error {
    explained(Error::of(path, err))
}

fn explained(err: Error) -> Error {
    if is_writable(err.path()) { err } else { err.of_sealed() }
}

/// Whether a segment has the permissions of one that is not sealed, or is not there.
pub(super) fn is_writable(path: &Path) -> bool {
    !fs::metadata(path).is_ok_and(|found| found.permissions().readonly())
}

/// The times of the first and the last message of a sealed segment, in microseconds since 1970; long ago if it is empty.
pub fn times(path: &Path) -> Result<(i64, i64), Error> {
    const TIMES: &str = "SELECT coalesce((SELECT received_at FROM message ORDER BY id LIMIT 1), 0),
        coalesce((SELECT received_at FROM message ORDER BY id DESC LIMIT 1), 0)";
    let connection = open_read_only(path)?;
    let times = connection.query_row(TIMES, [], |row| Ok((row.get(0)?, row.get(1)?)));
    times.map_err(|err| failed(path, &err))
}

/// The id of the last message of a segment that begins with `first_id`, or the id before if it has none.
pub fn last_id(path: &Path, first_id: i64) -> Result<i64, Error> {
    let connection = open_read_only(path)?;
    let last = connection.query_row("SELECT max(id) FROM message", [], |row| row.get::<_, Option<i64>>(0));
    Ok(last.map_err(|err| failed(path, &err))?.unwrap_or(first_id.saturating_sub(1)))
}
