//! Why a backup or a restore failed.

use std::io;
use std::path::{Path, PathBuf};

use crate::database;

/// Why a backup or a restore failed. Its display is for operators.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A database cannot be used.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// A file or folder cannot be used.
    #[error("{}: {}", path.display(), explain(source))]
    File {
        /// Its path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A backup needs an empty folder.
    #[error("{} is not empty (it has {found}): a backup needs a new or an empty folder", folder.display())]
    Used {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        found: String,
    },
    /// A restore needs an empty folder.
    #[error(
        "{} is not empty (it has {found}): old and new data cannot be mixed; move its content away, or set \
         `store.path` to another folder",
        folder.display()
    )]
    Occupied {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        found: String,
    },
    /// The backup was begun.
    #[error(
        "{cause}\nthe backup in {} is incomplete and cannot be restored; remove it and try again", folder.display()
    )]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// What failed.
        cause: Box<Self>,
    },
    /// The restore was begun, and undone.
    #[error("{cause}\nnothing was restored")]
    Undone {
        /// What failed.
        cause: Box<Self>,
    },
    /// The folder is not a complete backup.
    #[error("{} is not a complete backup: {why}", folder.display())]
    NotABackup {
        /// The folder.
        folder: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
}

impl Failed {
    /// For `map_err`: a problem of the file or folder at `path`.
    pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File { path: path.into(), source }
    }
}

fn explain(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("the disk is full ({source}); free some space, or use another disk")
        }
        _ => source.to_string(),
    }
}
