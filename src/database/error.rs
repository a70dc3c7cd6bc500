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
        /// Whether it is a sealed segment: no server writes it.
        is_sealed: bool,
    },
    /// The file is not writable.
    ReadOnly,
    /// The reader may not create the files that SQLite needs beside it.
    Unshared,
    /// The file system does not support a write-ahead log.
    NoWal,
    /// The single file of former versions, while there are segments already.
    Twice {
        /// A segment.
        other: PathBuf,
        /// The first id of the file.
        first_id: i64,
    },
    /// The single file of former versions has ids that the state does not have.
    TwoStates {
        /// The state.
        other: PathBuf,
    },
    /// The single file of former versions is on another disk than the segments.
    OtherDisk {
        /// The folder of the segments.
        folder: PathBuf,
    },
    /// The write-ahead log of the single file of former versions, and that file is missing or empty.
    LoneLog,
    /// The file is missing or empty, but its write-ahead log is not.
    Emptied,
    /// The folder was moved away while the server uses it, or its file system was unmounted.
    Moved,
    /// Another file was copied over it while the server has it open.
    Overwritten,
    /// The file was moved or removed while it was open, and another file may have its path.
    Replaced,
    /// The file is missing, and its content is lost or saved elsewhere.
    Missing,
    /// The file is missing, and a server that runs has its folder.
    Awaited {
        /// Its process, and since when.
        by: String,
    },
    /// The folder has files, and none of a server.
    Foreign,
    /// The file of an older version is there alone.
    NotTakenOver,
    /// Too many jobs wait for the thread that writes.
    Overloaded {
        /// The maximum.
        most: usize,
    },
    /// The thread that writes has failed on this job, or has ended.
    Interrupted,
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
            Some(ErrorCode::DatabaseCorrupt) => Trouble::Corrupt { cause, is_sealed: false },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Trouble::ReadOnly,
            Some(ErrorCode::CannotOpen) => Trouble::Unopened { cause },
            Some(ErrorCode::DiskFull) => Trouble::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Locked,
            _ => Trouble::Failed { cause },
        };
        Self::new(path, trouble)
    }

    /// The same of a sealed segment.
    pub fn of_sealed(mut self) -> Self {
        if let Trouble::Corrupt { is_sealed, .. } = &mut self.trouble {
            *is_sealed = true;
        }
        self
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
        !matches!(
            self.trouble,
            Trouble::Full
                | Trouble::Locked
                | Trouble::Moved
                | Trouble::Overloaded { .. }
                | Trouble::Interrupted
                | Trouble::Failed { .. }
        )
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
            Self::Corrupt { cause, is_sealed: true } => write!(
                f,
                "damaged ({cause}); the other segments stay readable, and the server goes on without this one: move it \
                 away, and restore it from a backup, or save its readable messages with `sqlite3 FILE .recover`; its ids \
                 are from the one in its name to the one before the next segment"
            ),
            Self::Corrupt { cause, is_sealed: false } => write!(
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
            Self::Twice { other, first_id } => write!(
                f,
                "a file of a former version with messages from {first_id} on, while there are segments already ({}); move \
                 one of them away",
                other.display()
            ),
            Self::TwoStates { other } => write!(
                f,
                "a file of a former version has ids that {} does not have; move one of them away",
                other.display()
            ),
            Self::OtherDisk { folder } => write!(
                f,
                "a file of a former version that must move to {}, which is on another disk; make that a link to a new \
                 folder on the disk of the file, or stop all programs that use the file and move it over",
                folder.display()
            ),
            Self::LoneLog => f.write_str(
                "belongs to a file of a former version that is missing or empty, and may have its last messages; put that \
                 file back beside it, or move this one away",
            ),
            Self::Emptied => f.write_str(
                "missing or cut to nothing, but its -wal file is there, and may have the last changes; put the file back \
                 beside it, or move the -wal file away to begin with an empty file",
            ),
            Self::Moved => f.write_str(
                "the folder was moved, removed or unmounted; put it back, or restart the server to begin a new one",
            ),
            Self::Overwritten => f.write_str(
                "another file was copied over it while the server has it open, and what it contained is gone; restart the \
                 server to use what is there now, or move (`mv`) the right file there, which needs no restart",
            ),
            Self::Replaced => {
                f.write_str("moved, removed or replaced during the change; check the file, and repeat the change")
            }
            Self::Missing => f.write_str(
                "missing, and the server does not have its content any more; put a copy of the file there, or restart \
                 the server to begin with an empty file",
            ),
            Self::Awaited { by } => write!(
                f,
                "missing, although a trap-server has its folder ({by}); the log of that server says why"
            ),
            Self::Foreign => f.write_str(
                "not the data folder of a trap-server: it has other files, and none of a trap-server; correct `path`, \
                 or start the server once, which creates its files there",
            ),
            Self::NotTakenOver => f.write_str(
                "the file of an older version; start the server once, which upgrades it",
            ),
            Self::Overloaded { most } => {
                write!(f, "{most} changes wait to be written already; check the speed of the disk")
            }
            Self::Interrupted => f.write_str("the change was interrupted by a fault of the server, or by its end"),
            Self::Full => f.write_str("the disk is full; free some space, or limit the file with `max_size`"),
            Self::Locked => {
                f.write_str("locked by another program; end that program (`fuser FILE` shows which)")
            }
            Self::Failed { cause } => write!(f, "{cause}; check the disk and its messages in `dmesg`"),
        }
    }
}
