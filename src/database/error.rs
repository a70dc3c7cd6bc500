//! What can be wrong with the file: where, what, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::schema::VERSION;

/// Something is wrong with a file. Displayed, it is what an operator reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {trouble}", path.display())]
pub struct Error {
    path: PathBuf,
    trouble: Trouble,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its folder is not there and cannot be made.
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// It cannot be opened.
    Unopened {
        /// What the system or SQLite says.
        cause: String,
    },
    /// It is no SQLite file.
    NotADatabase,
    /// It is a SQLite file of somebody else.
    NotOurs,
    /// A newer version of this program made it.
    Newer {
        /// The version of its tables.
        found: i32,
    },
    /// An older version made it, and it is only to be read; 0 is an empty file.
    Older {
        /// The version of its tables.
        found: i32,
    },
    /// It is damaged.
    Corrupt {
        /// What SQLite says.
        cause: String,
    },
    /// It may not be written.
    ReadOnly,
    /// It is to be read by somebody who may not make what SQLite needs beside it.
    Unshared,
    /// Where it is there can be no write-ahead log.
    NoWal,
    /// It was moved or removed while it was open, and another may stand in its place.
    Replaced,
    /// The disk is full.
    Full,
    /// Another program keeps it locked.
    Locked,
    /// The disk failed, or something that has no name here.
    Failed {
        /// What SQLite says.
        cause: String,
    },
}

impl Error {
    pub(crate) fn new(path: &Path, trouble: Trouble) -> Self {
        Self { path: path.into(), trouble }
    }

    pub(super) fn folder(path: &Path, folder: &Path, source: io::Error) -> Self {
        let trouble = match source.kind() {
            io::ErrorKind::StorageFull => Trouble::Full,
            _ => Trouble::Folder { folder: folder.into(), cause: source.to_string() },
        };
        Self::new(path, trouble)
    }

    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::new(path, Trouble::Unopened { cause: source.to_string() })
    }

    /// What SQLite says of the file at `path`.
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

    /// What is wrong.
    pub const fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Whether somebody has to do something about the file itself: it will not pass.
    pub const fn is_lasting(&self) -> bool {
        !matches!(self.trouble, Trouble::Full | Trouble::Locked | Trouble::Failed { .. })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { folder, cause } => write!(
                f,
                "the folder {} is not there and cannot be made ({cause}); make it, owned by the server's user, or \
                 change `path`",
                folder.display()
            ),
            Self::Unopened { cause } => {
                write!(
                    f,
                    "it cannot be opened ({cause}); look at `path`, at who may write to the file and its folder, and \
                     whether the disk is read-only"
                )
            }
            Self::NotADatabase => f.write_str("it is no SQLite file; move it away, or change `path`"),
            Self::NotOurs => {
                f.write_str("it is a SQLite file of another program; move it away, or change `path`")
            }
            Self::Newer { found } => write!(
                f,
                "a newer trap-server made it (version {found} of the tables, this one knows {VERSION}); run that one, \
                 or change `path`"
            ),
            Self::Older { found: 0 } => f.write_str("it is empty; the server fills it when it starts"),
            Self::Older { found } => write!(
                f,
                "an older trap-server made it (version {found} of the tables, this one needs {VERSION}); the server \
                 brings it up to date when it starts"
            ),
            Self::Corrupt { cause } => write!(
                f,
                "it is damaged ({cause}); stop the server, save what can be read with `sqlite3 FILE .recover`, and \
                 move the file and its -wal and -shm away: a new one is made"
            ),
            Self::ReadOnly => f.write_str(
                "it may not be written; let the server's user write to the file and to its folder, or change `path`",
            ),
            Self::Unshared => f.write_str(
                "to read it takes a -wal and a -shm beside it, and this user may not make them; do it as the server's \
                 user, or while the server runs",
            ),
            Self::NoWal => f.write_str(
                "there can be no write-ahead log beside it; a local disk is needed, or change `path`",
            ),
            Self::Replaced => {
                f.write_str("it was moved, removed or replaced meanwhile; start again with what is there now")
            }
            Self::Full => f.write_str("the disk is full; make room there, or let `max_size` bound the file"),
            Self::Locked => {
                f.write_str("another program keeps it locked; end that one (`fuser FILE` shows which)")
            }
            Self::Failed { cause } => write!(f, "{cause}; look at the disk, and at what `dmesg` says of it"),
        }
    }
}
