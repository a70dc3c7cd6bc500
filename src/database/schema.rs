//! The tables of a file, version by version. A file records its version, and is migrated when it is opened for writing.
//! Migrations never remove anything.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{Error, Trouble};

/// A kind of file.
#[derive(Debug)]
pub struct Schema {
    /// Marks a file as one of this kind (`PRAGMA application_id`).
    pub application: i32,
    /// The step to each version from the one before (`PRAGMA user_version`); the first step starts from an empty file.
    pub migrations: &'static [&'static [&'static str]],
}

/// The file that once held messages and ids: "trap".
///
/// The id is the only index of `message`: an index on client and time would cost several times the insert itself. The
/// ids follow the time of receipt, so a time is found by bisection. Wherever the clock was set back, a new segment
/// begins: `clock_step` has the first id of each. `pruned` is the last id that was ever removed, so that no id is used
/// twice.
///
/// `client` contains the ids that may authenticate, `unknown_client` the rejected ones. All times are microseconds
/// since 1970, UTC.
pub const SINGLE: Schema = Schema { application: 0x7472_6170, migrations: &[&[MESSAGES, PRUNED], &[IDS]] };

/// Messages, in the single file and in a segment: the one becomes the other as it is.
pub const MESSAGES: &str = "
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
";

const PRUNED: &str = "
    CREATE TABLE pruned (last_id INTEGER NOT NULL) STRICT;
    INSERT INTO pruned VALUES (0);
";

/// Ids, in the single file and in the state.
const IDS: &str = "
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
";

/// The name of the former file in the folder of the data.
pub const SINGLE_FILE: &str = "trap.db";

/// The networks from which an id may come, with a space between two of them; without any, it may come from everywhere. A
/// rejected id may have the reason 'elsewhere' since.
const NETWORKS: &str = "ALTER TABLE client ADD COLUMN networks TEXT NOT NULL DEFAULT '';";

/// What the server knows: "trst". `client` contains the ids that may authenticate, `unknown_client` the rejected ones.
/// Times are microseconds since 1970, UTC.
pub const STATE: Schema = Schema { application: 0x7472_7374, migrations: &[&[IDS], &[NETWORKS]] };

impl Schema {
    /// The version that this program reads and writes.
    pub fn version(&self) -> i32 {
        i32::try_from(self.migrations.len()).unwrap_or(i32::MAX)
    }

    /// Creates the tables, or migrates them. A file that is not of this kind is left as it is.
    pub fn migrate(&self, connection: &mut Connection, path: &Path) -> Result<(), Error> {
        let sqlite = |err| Error::of(path, &err);
        if self.found(connection, path)? == self.version() {
            return Ok(());
        }
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        // Another process may have migrated it already.
        let found = self.found(&transaction, path)?;
        let missing = self.migrations.iter().skip(usize::try_from(found).unwrap_or_default());
        missing
            .flat_map(|step| step.iter())
            .try_for_each(|sql| transaction.execute_batch(sql))
            .map_err(sqlite)?;
        self.mark(&transaction).and_then(|()| transaction.commit()).map_err(sqlite)
    }

    /// Marks a file that has the tables as one of this kind.
    pub fn mark(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.pragma_update(None, "user_version", self.version())?;
        connection.pragma_update(None, "application_id", self.application)
    }

    /// Fails unless the file has the current version.
    pub(super) fn check(&self, connection: &Connection, path: &Path) -> Result<(), Error> {
        match self.found(connection, path)? {
            found if found == self.version() => Ok(()),
            found => Err(Error::new(path, Trouble::Older { found, required: self.version() })),
        }
    }

    /// The version of a file of this kind; 0 for an empty file. All of it is read in one transaction, because another
    /// process may create the file meanwhile.
    pub fn found(&self, connection: &Connection, path: &Path) -> Result<i32, Error> {
        let (application, version, tables) = marks(connection).map_err(|err| Error::of(path, &err))?;
        match (application, version) {
            (0, 0) if tables == 0 => Ok(0),
            (application, found) if application != self.application || found < 1 => {
                Err(Error::new(path, Trouble::NotOurs))
            }
            (_, found) if found <= self.version() => Ok(found),
            (_, found) => Err(Error::new(path, Trouble::Newer { found, supported: self.version() })),
        }
    }
}

/// Application id, version, and number of tables.
fn marks(connection: &Connection) -> rusqlite::Result<(i32, i32, u32)> {
    const MARKS: &str = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
        FROM pragma_application_id, pragma_user_version";
    connection.query_row(MARKS, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}
