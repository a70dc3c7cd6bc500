//! Errors of the file: its path, the problem, and the remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// An error of a file. Its display is for operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {trouble}", path.display())]
pub struct Error {
    path: PathBuf,
    trouble: Trouble,
}

/// The kind of problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The folder is missing and cannot be created.
    Folder {
        /// The error of the system.
        cause: String,
    },
    /// Another server has the folder.
    InUse {
        /// Its process, and since when.
        by: String,
    },
    /// The file cannot be opened.
    Unopened {
        /// The error of the system or of SQLite.
        cause: String,
    },
    /// Not an SQLite database.
    NotADatabase,
    /// An SQLite database of another program.
    NotOurs,
    /// Created by a newer version of this program.
    Newer {
        /// The version of its tables.
        found: i32,
        /// The version that this program has.
        supported: i32,
    },
    /// Created by an older version, and opened for reading only; 0 is an empty file.
    Older {
        /// The version of its tables.
        found: i32,
        /// The version that this program has.
        required: i32,
    },
    /// The file is damaged.
    Corrupt {
        /// The error of SQLite.
        cause: String,
    },
    /// The file is not writable.
    ReadOnly,
    /// The reader may not create the files that SQLite needs beside it.
    Unshared,
    /// The file system does not support a write-ahead log.
    NoWal,
    /// The folder was moved away while the server uses it, or its file system was unmounted.
    Moved,
    /// The file was moved or removed while it was open, and another file may have its path.
    Replaced,
    /// The disk is full.
    Full,
    /// Another program holds a lock.
    Locked,
    /// The disk failed, or any other error.
    Failed {
        /// The error of SQLite.
        cause: String,
    },
}

impl Error {
    /// A problem of a file or folder.
    pub fn new(path: &Path, trouble: Trouble) -> Self {
        Self { path: path.into(), trouble }
    }

    /// A folder that cannot be created.
    pub fn folder(folder: &Path, source: io::Error) -> Self {
        let trouble = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full,
            _ => Trouble::Folder { cause: source.to_string() },
        };
        Self::new(folder, trouble)
    }

    /// A file or folder that cannot be used as it must be.
    pub fn unreadable(path: &Path, source: &io::Error) -> Self {
        let trouble = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full,
            _ => Trouble::Unopened { cause: source.to_string() },
        };
        Self::new(path, trouble)
    }

    /// Converts an SQLite error of the file at `path`.
    pub fn of(path: &Path, err: &rusqlite::Error) -> Self {
        let cause = err.to_string();
        let trouble = match err.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Trouble::NotADatabase,
            Some(ErrorCode::DatabaseCorrupt) => Trouble::Corrupt { cause },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Trouble::ReadOnly,
            Some(ErrorCode::CannotOpen) => Trouble::Unopened { cause },
            Some(ErrorCode::DiskFull) => Trouble::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Locked,
            _ => Trouble::Failed { cause },
        };
        Self::new(path, trouble)
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of problem.
    pub const fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Whether the file itself needs a person: the problem is not temporary.
    pub const fn is_lasting(&self) -> bool {
        !matches!(self.trouble, Trouble::Full | Trouble::Locked | Trouble::Moved | Trouble::Failed { .. })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { cause } => write!(
                f,
                "cannot create the folder ({cause}); create it, owned by the server's user, or change `path`"
            ),
            Self::InUse { by } => write!(
                f,
                "in use by another trap-server ({by}); stop it, or give each server a `path` of its own"
            ),
            Self::Unopened { cause } => {
                write!(
                    f,
                    "cannot be opened ({cause}); check `path`, the permissions of the file and its folder, and whether \
                     the disk is read-only"
                )
            }
            Self::NotADatabase => f.write_str("not an SQLite database; move it away, or change `path`"),
            Self::NotOurs => {
                f.write_str("an SQLite database of another program; move it away, or change `path`")
            }
            Self::Newer { found, supported } => write!(
                f,
                "created by a newer trap-server (table version {found}, supported {supported}); run that version, or \
                 change `path`"
            ),
            Self::Older { found: 0, .. } => f.write_str("empty file; the server initialises it when it starts"),
            Self::Older { found, required } => write!(
                f,
                "created by an older trap-server (table version {found}, required {required}); the server upgrades it \
                 when it starts"
            ),
            Self::Corrupt { cause } => write!(
                f,
                "damaged ({cause}); stop the server, save the readable data with `sqlite3 FILE .recover`, and move \
                 the file and its -wal and -shm files away: the server creates a new one"
            ),
            Self::ReadOnly => f.write_str(
                "not writable; let the server's user write to the file and to its folder, or change `path`",
            ),
            Self::Unshared => f.write_str(
                "reading needs the files -wal and -shm beside it, and this user cannot create them; run the command as \
                 the server's user, or while the server runs",
            ),
            Self::NoWal => f.write_str(
                "the write-ahead log does not work there; change `path` to a local disk",
            ),
            Self::Moved => f.write_str(
                "the folder was moved, removed or unmounted; put it back, or restart the server to begin a new one",
            ),
            Self::Replaced => {
                f.write_str("moved, removed or replaced meanwhile; start again to use the current file")
            }
            Self::Full => f.write_str("the disk is full; free some space, or limit the file with `max_size`"),
            Self::Locked => {
                f.write_str("locked by another program; end that program (`fuser FILE` shows which)")
            }
            Self::Failed { cause } => write!(f, "{cause}; check the disk and its messages in `dmesg`"),
        }
    }
}
