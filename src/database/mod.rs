//! The SQLite file that the server keeps: made, migrated, opened, and what is wrong with it in words.
//!
//! Whoever opens it gets a connection that is ready for use. What stands in the tables is the business of their owners.
//!
//! | file | subject |
//! |---|---|
//! | `error` | what can be wrong with the file, and what to do |
//! | `schema` | the tables, version by version |
//! | `timestamp` | times as they stand in a row |

mod error;
mod schema;
mod timestamp;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub use error::{Error, Trouble};
pub use schema::{APPLICATION, VERSION};
pub use timestamp::Timestamp;

/// How often a command tries to get hold of a file that the server writes to without a pause.
const TRIES: i32 = 10_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(1);

/// To how many bytes a write-ahead log that has grown is cut back once it is copied into the file.
const LOG_KEPT: u32 = 16 << 20;

/// How a file is opened for writing.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it is, or will be; messages name it so.
    pub path: PathBuf,
    /// Whether each transaction is on the disk when it ends, and not only with the operating system.
    pub full: bool,
    /// How long another program may keep it locked.
    pub lock_timeout: Duration,
}

/// Opens the file for writing. It is made if it is missing, its folder too, and migrated if an older version made it.
pub fn open(options: &Options) -> Result<Connection, Error> {
    let path = &options.path;
    make_folder(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = connect(path, flags)?;
    connection.busy_timeout(options.lock_timeout).map_err(|err| Error::of(path, &err))?;
    schema::migrate(&mut connection, path)?;
    configure(&connection, options.full).map_err(|err| Error::of(path, &err))?;
    Ok(connection)
}

/// Opens the file for one change beside a server that may be writing to it all the time.
pub fn open_for_command(path: &Path) -> Result<Connection, Error> {
    let options =
        Options { path: path.into(), full: true, lock_timeout: BETWEEN_TRIES * TRIES.unsigned_abs() };
    let mut connection = open(&options)?;
    // SQLite's own timeout waits longer and longer, and the moments in which nobody writes are short.
    connection.busy_handler(Some(try_often)).map_err(|err| Error::of(path, &err))?;
    Ok(connection)
}

fn try_often(tries: i32) -> bool {
    thread::sleep(BETWEEN_TRIES);
    tries < TRIES
}

/// Opens the file for reading, whoever writes to it meanwhile. It must be there.
pub fn open_read_only(path: &Path) -> Result<Connection, Error> {
    open_to_read(path, |connection| connection.busy_handler(Some(try_often)))
}

/// The same for whoever cannot wait longer than that for a lock.
pub fn open_read_only_within(path: &Path, lock_timeout: Duration) -> Result<Connection, Error> {
    open_to_read(path, |connection| connection.busy_timeout(lock_timeout))
}

fn open_to_read(
    path: &Path,
    wait_for_locks: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
) -> Result<Connection, Error> {
    match fs::metadata(path) {
        // SQLite opens it, and takes it for a disk that fails.
        Ok(found) if found.is_dir() => {
            return Err(Error::unreadable(path, io::ErrorKind::IsADirectory.into()));
        }
        Ok(_) => {}
        Err(source) => return Err(Error::unreadable(path, source)),
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    wait_for_locks(&mut connection).map_err(|err| Error::of(path, &err))?;
    match schema::check(&connection, path) {
        // Nothing is to be written but what readers and writers share.
        Err(err) if *err.trouble() == Trouble::ReadOnly => Err(Error::new(path, Trouble::Unshared)),
        checked => checked.map(|()| connection),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    // An absolute path is never one of SQLite's special names.
    let absolute = std::path::absolute(path).map_err(|source| Error::unreadable(path, source))?;
    // A connection is used by one thread at a time.
    Connection::open_with_flags(absolute, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|err| Error::of(path, &err))
}

fn make_folder(path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            fs::create_dir_all(folder).map_err(|source| Error::folder(path, folder, source))
        }
        _ => Ok(()),
    }
}

fn configure(connection: &Connection, full: bool) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_size_limit", LOG_KEPT)?;
    connection.pragma_update(None, "synchronous", if full { "full" } else { "normal" })?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// What tells one file from another that takes its place: SQLite itself goes on writing to a file that was moved away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// The identity and the size of the file at `path`.
pub fn look(path: &Path) -> io::Result<(Identity, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path)?;
    Ok((Identity { device: metadata.dev(), inode: metadata.ino() }, metadata.len()))
}
