//! Where segments are read from: a folder, or a single file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::database::{Error, holder};
use crate::store::segments::folder::{Folder, Segment};

/// The segments that are read.
#[derive(Clone, Debug)]
pub enum Source {
    /// Those of a folder.
    Folder(Folder),
    /// A single one, whatever its name.
    File(PathBuf),
}

impl Source {
    /// What is at `path`: a segment, a folder of segments, or a folder of data or a backup, which has a folder of
    /// segments in it. It must exist.
    pub fn find(path: &Path) -> Result<Self, Error> {
        let found = fs::metadata(path).map_err(|err| Error::unreadable(path, &err))?;
        let inner = Folder::of(path);
        Ok(if !found.is_dir() {
            Self::File(path.into())
        } else if inner.path().is_dir() {
            Self::Folder(inner)
        } else {
            Self::Folder(Folder::at(path))
        })
    }

    /// The segments, oldest first.
    pub fn list(&self) -> Result<Vec<Segment>, Error> {
        match self {
            Self::Folder(folder) => folder.list(),
            Self::File(path) => Ok(Vec::from_iter(Segment::at(path))),
        }
    }

    /// Whether a server uses the folder, and seals its segments.
    pub(super) fn is_served(&self) -> bool {
        let messages = match self {
            Self::Folder(folder) => Some(folder.path()),
            Self::File(path) => path.parent(),
        };
        messages.and_then(Path::parent).is_some_and(|data| holder(data).is_some())
    }
}
