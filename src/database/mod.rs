//! SQLite files: creation, migration, opening, writing by one thread, and their errors in words.
//!
//! Opening returns a connection that is ready for use. The content of the tables belongs to their owners.
//!
//! | file | subject |
//! |---|---|
//! | `error` | errors of the file, and their remedies |
//! | `files` `lock` | permissions and identity of files, and the lock of a folder |
//! | `queue` `writer` | a thread that writes jobs with group commit |
//! | `schema` | the tables, version by version |
//! | `state` | the state: what the server knows, in `state.db` |
//! | `timestamp` | times in a row |

mod error;
mod files;
mod lock;
mod queue;
mod schema;
mod state;
mod timestamp;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

pub use error::{Error, Trouble};
pub use files::{Identity, beside, identity_of, look, make_file, make_folder, remove, size, sync_folder};
pub use lock::{Lock, holder};
pub use queue::{Intake, Job, Jobs, Queue, Room};
pub use schema::{MESSAGES, SINGLE, SINGLE_FILE, STATE, Schema};
pub use state::{STATE_FILE, State, Writing};
pub use timestamp::Timestamp;
pub use writer::{Limits, Target, write};

/// Maximum attempts of a command to lock a file that the server writes to without a pause.
const TRIES: i32 = 10_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(1);

/// The size to which a large write-ahead log is truncated after it is copied into the file, in bytes.
const LOG_KEPT: u32 = 16 << 20;

/// The options for opening a file for writing.
#[derive(Clone, Debug)]
pub struct Options {
    /// The path of the file, also used in messages.
    pub path: PathBuf,
    /// Whether each transaction is synced to the disk at its end, not only handed to the operating system.
    pub full: bool,
    /// The timeout for a lock of another program.
    pub lock_timeout: Duration,
}

/// Opens the file for writing. Creates it and its folder if they are missing, and migrates an older version.
pub fn open(schema: &Schema, options: &Options) -> Result<Connection, Error> {
    let path = &options.path;
    let connection = open_plain(schema, options)?;
    write_ahead(&connection, path)?;
    Ok(connection)
}

/// The same without a write-ahead log: no other process reads the file while it is written.
pub fn open_plain(schema: &Schema, options: &Options) -> Result<Connection, Error> {
    let path = &options.path;
    make_both(path)?;
    let mut connection = open_as_found(options)?;
    schema.migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens a file for writing that exists, whatever its tables are.
pub fn open_as_found(options: &Options) -> Result<Connection, Error> {
    let path = &options.path;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(options.lock_timeout).map_err(|err| Error::of(path, &err))?;
    configure(&connection, options.full).map_err(|err| Error::of(path, &err))?;
    Ok(connection)
}

/// Opens the file for one change while a server may be writing to it.
pub fn open_for_command(schema: &Schema, path: &Path) -> Result<Connection, Error> {
    let options =
        Options { path: path.into(), full: true, lock_timeout: BETWEEN_TRIES * TRIES.unsigned_abs() };
    let mut connection = open(schema, &options)?;
    // SQLite's own timeout waits longer at each attempt, and misses the short gaps between writes.
    connection.busy_handler(Some(try_often)).map_err(|err| Error::of(path, &err))?;
    Ok(connection)
}

fn try_often(tries: i32) -> bool {
    thread::sleep(BETWEEN_TRIES);
    tries < TRIES
}

/// Opens the file for reading while other processes may write to it. It must exist.
pub fn open_read_only(schema: &Schema, path: &Path) -> Result<Connection, Error> {
    open_to_read(schema, path, |connection| connection.busy_handler(Some(try_often)))
}

/// The same with a timeout for locks.
pub fn open_read_only_within(
    schema: &Schema,
    path: &Path,
    lock_timeout: Duration,
) -> Result<Connection, Error> {
    open_to_read(schema, path, |connection| connection.busy_timeout(lock_timeout))
}

fn open_to_read(
    schema: &Schema,
    path: &Path,
    wait_for_locks: impl Fn(&mut Connection) -> rusqlite::Result<()>,
) -> Result<Connection, Error> {
    match fs::metadata(path) {
        // SQLite would open it, and report a failing disk.
        Ok(found) if found.is_dir() => {
            return Err(Error::unreadable(path, &io::ErrorKind::IsADirectory.into()));
        }
        Ok(_) => {}
        Err(source) => return Err(Error::unreadable(path, &source)),
    }
    let open = |flags| {
        let mut connection = connect(path, flags)?;
        wait_for_locks(&mut connection).map_err(|err| Error::of(path, &err))?;
        schema.check(&connection, path).map(|()| connection)
    };
    let is_read_only = |err: &Error| *err.trouble() == Trouble::ReadOnly;
    match open(OpenFlags::SQLITE_OPEN_READ_ONLY) {
        // A process was killed in the middle of a change that SQLite has to undo first.
        Err(err) if is_read_only(&err) => match open(OpenFlags::SQLITE_OPEN_READ_WRITE) {
            Ok(connection) => {
                only_read(&connection).map_err(|err| Error::of(path, &err)).map(|()| connection)
            }
            // The only writes are to the files that readers and writers share.
            Err(err) if is_read_only(&err) => Err(Error::new(path, Trouble::Unshared)),
            Err(err) => Err(err),
        },
        opened => opened,
    }
}

fn only_read(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "query_only", true)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    // An absolute path is never one of SQLite's special names.
    let absolute = std::path::absolute(path).map_err(|source| Error::unreadable(path, &source))?;
    check_log(path)?;
    // Each connection is used by only one thread at a time.
    Connection::open_with_flags(absolute, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|err| Error::of(path, &err))
}

/// Fails for an empty file with a write-ahead log, as it is after it was moved away or cut to nothing: SQLite
/// would remove the log, with all that is in it.
fn check_log(path: &Path) -> Result<(), Error> {
    match size(path) == 0 && size(&beside(path, "-wal")) > 0 {
        true => Err(Error::new(path, Trouble::Emptied)),
        false => Ok(()),
    }
}

fn make_both(path: &Path) -> Result<(), Error> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder).map_err(|source| Error::folder(folder, source))?;
    }
    make_file(path).map_err(|source| Error::unreadable(path, &source))
}

/// Switches the file to a write-ahead log, which lets others read while it is written.
fn write_ahead(connection: &Connection, path: &Path) -> Result<(), Error> {
    let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
    match mode.map_err(|err| Error::of(path, &err))?.as_str() {
        "wal" => {}
        _ => return Err(Error::new(path, Trouble::NoWal)),
    }
    // A connection opens the log when it reads: one that has not would look for it at a path that has changed since.
    let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    read.map_err(|err| Error::of(path, &err))
}

fn configure(connection: &Connection, full: bool) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_size_limit", LOG_KEPT)?;
    connection.pragma_update(None, "synchronous", if full { "full" } else { "normal" })?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}
