//! The tables, version by version. A file records its version, and is migrated when it is opened for writing.
//! Migrations never remove anything.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{Error, Trouble};

/// Marks a file as a file of this program (`PRAGMA application_id`): "trap".
pub const APPLICATION: i32 = 0x7472_6170;

/// The step to each version from the one before (`PRAGMA user_version`); the first step starts from an empty file.
///
/// The id is the only index of `message`: an index on client and time would cost several times the insert itself. The
/// ids follow the time of receipt, so a time is found by bisection. Wherever the clock was set back, a new segment
/// begins: `clock_step` has the first id of each. `pruned` is the last id that was ever removed, so that no id is used
/// twice.
///
/// `client` contains the ids that may authenticate, `unknown_client` the rejected ones. All times are microseconds
/// since 1970, UTC.
const MIGRATIONS: [&str; 2] = [
    "
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
    CREATE TABLE pruned (last_id INTEGER NOT NULL) STRICT;
    INSERT INTO pruned VALUES (0);
",
    "
    CREATE TABLE client (
        id TEXT PRIMARY KEY,
        enabled INTEGER NOT NULL, -- 0 or 1
        note TEXT NOT NULL,
        expires_at INTEGER, -- null: never
        created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE unknown_client (
        id TEXT PRIMARY KEY,
        peer TEXT NOT NULL,
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        times INTEGER NOT NULL,
        reason TEXT NOT NULL -- 'unknown', 'disabled' or 'expired'
    ) STRICT;
    CREATE INDEX unknown_client_last_at ON unknown_client (last_at);
",
];

/// The version that this program reads and writes.
pub const VERSION: i32 = MIGRATIONS.len() as i32;

/// Creates the tables, or migrates them.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let sqlite = |err| Error::of(path, &err);
    if !is_current(connection, path)? {
        // Only before the first table exists.
        connection.pragma_update(None, "auto_vacuum", "incremental").map_err(sqlite)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        // Another process may have migrated it already.
        let found = version(&transaction, path)?;
        let missing = MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default());
        missing.copied().try_for_each(|sql| transaction.execute_batch(sql)).map_err(sqlite)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(sqlite)?;
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(sqlite)?;
        transaction.commit().map_err(sqlite)?;
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(sqlite)?;
    match mode.as_str() {
        "wal" => Ok(()),
        _ => Err(Error::new(path, Trouble::NoWal)),
    }
}

/// Fails unless the file has this version.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Error> {
    match version(connection, path)? {
        VERSION => Ok(()),
        found => Err(Error::new(path, Trouble::Older { found })),
    }
}

fn is_current(connection: &Connection, path: &Path) -> Result<bool, Error> {
    Ok(version(connection, path)? == VERSION)
}

/// The version of a file of this program; 0 for an empty file.
fn version(connection: &Connection, path: &Path) -> Result<i32, Error> {
    let sqlite = |err| Error::of(path, &err);
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(sqlite);
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sqlite)?;
    match (pragma("application_id")?, pragma("user_version")?) {
        (0, 0) if tables == 0 => Ok(0),
        (APPLICATION, found @ 1..=VERSION) => Ok(found),
        (APPLICATION, found) => Err(Error::new(path, Trouble::Newer { found })),
        _ => Err(Error::new(path, Trouble::NotOurs)),
    }
}
