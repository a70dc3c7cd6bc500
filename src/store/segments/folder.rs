//! The folder of the segments: their names and their order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::database::{Error, beside, size};

/// The folder within the folder of the data.
const NAME: &str = "messages";

/// The folder of what is saved of lost segments, within the folder of the data.
pub(crate) const RESCUED: &str = "messages/rescued";

/// Digits in a name, so that names sort as the ids do.
const DIGITS: usize = 20;

const ENDING: &str = ".db";

/// The folder of the segments.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// A segment: a file, named by the id of its first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The id of its first message, or of the next one while it is empty.
    pub first_id: i64,
    /// The file.
    pub path: PathBuf,
    /// Bytes of the file and its write-ahead log.
    pub size: u64,
}

impl Folder {
    /// The folder of the segments in the folder `data`.
    pub fn of(data: &Path) -> Self {
        Self(data.join(NAME))
    }

    /// The folder at `path`, whatever its name: a copy, or an archive.
    pub fn at(path: &Path) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of the segment that begins with this id.
    pub fn segment(&self, first_id: i64) -> PathBuf {
        self.0.join(file_name(first_id))
    }

    /// The folder of what is saved of lost segments.
    pub(crate) fn rescued(&self) -> PathBuf {
        self.0.join("rescued")
    }

    /// The name of that segment within the folder of the data.
    pub fn name(&self, first_id: i64) -> String {
        format!("{NAME}/{}", file_name(first_id))
    }

    /// All segments, oldest first; none if there is no folder.
    pub fn list(&self) -> Result<Vec<Segment>, Error> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(err) => return Err(Error::unreadable(&self.0, &err)),
        };
        let mut segments = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|err| Error::unreadable(&self.0, &err))?;
            // A file that has gone since is not there.
            segments.extend(
                first_id(&entry.file_name()).and_then(|first_id| Segment::look(first_id, entry.path())),
            );
        }
        segments.sort_by_key(|segment| segment.first_id);
        Ok(segments)
    }
}

impl Segment {
    /// The segment in a file of any name, if there is one. A name that has no id says nothing of the ids in it.
    pub fn at(path: &Path) -> Option<Self> {
        let first_id = path.file_name().and_then(first_id);
        Self::look(first_id.unwrap_or(i64::MIN), path.into())
    }

    /// Whether the file was removed.
    pub fn is_gone(&self) -> bool {
        fs::metadata(&self.path).is_err_and(|err| err.kind() == io::ErrorKind::NotFound)
    }

    fn look(first_id: i64, path: PathBuf) -> Option<Self> {
        let size = fs::metadata(&path).ok()?.len() + size(&beside(&path, "-wal"));
        Some(Self { first_id, path, size })
    }
}

fn file_name(first_id: i64) -> String {
    format!("{first_id:0DIGITS$}{ENDING}")
}

/// The id in the name of a segment.
pub(super) fn first_id(name: &std::ffi::OsStr) -> Option<i64> {
    let digits = name.to_str()?.strip_suffix(ENDING)?;
    let all_digits = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_listed_in_the_order_of_their_ids_and_nothing_else_is() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::of(data.path());
        assert_eq!(folder.list().unwrap(), []);
        fs::create_dir(folder.path()).unwrap();
        for first_id in [1000, 1, i64::MAX, 99] {
            fs::write(folder.segment(first_id), "12345").unwrap();
        }
        fs::write(beside(&folder.segment(99), "-wal"), "123").unwrap();
        for other in ["next.db", "1.db", "0000000000000000000x.db", "99999999999999999999.db", "lost+found"] {
            fs::write(folder.path().join(other), "").unwrap();
        }
        let found = folder.list().unwrap();
        let found: Vec<_> = found.iter().map(|segment| (segment.first_id, segment.size)).collect();
        assert_eq!(found, [(1, 5), (99, 8), (1000, 5), (i64::MAX, 5)]);
        assert!(folder.segment(99).ends_with("messages/00000000000000000099.db"));
    }
}
