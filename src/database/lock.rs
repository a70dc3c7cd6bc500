//! The lock file of a folder of data, which tells a second server whose the folder is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use super::files::{Identity, look, make_folder};
use super::{Error, Timestamp, Trouble};

/// The name of the lock file.
const NAME: &str = "lock";

/// Maximum bytes that are read of a lock file.
const SHOWN: usize = 100;

/// A folder that belongs to this process until the lock is dropped.
#[derive(Debug)]
pub struct Lock {
    folder: PathBuf,
    /// Of the folder, and of the lock file.
    identities: [Option<Identity>; 2],
    _file: File,
}

impl Lock {
    /// Takes the folder, and creates it if it is missing. Fails if another process has it. The path is resolved here,
    /// once: a link that is changed later does not lead somewhere else.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        make_folder(folder).map_err(|source| Error::folder(folder, source))?;
        let folder = fs::canonicalize(folder).map_err(|source| Error::unreadable(folder, &source))?;
        let path = folder.join(NAME);
        let unreadable = |source| Error::unreadable(&path, &source);
        let mut signed = open(&path).map_err(unreadable)?;
        // For reading only, so that the file system can be made read-only.
        let file = File::open(&path).map_err(unreadable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&folder)),
            Err(TryLockError::Error(source)) => return Err(unreadable(source)),
        }
        sign(&mut signed).map_err(unreadable)?;
        let identities = [&folder, &path].map(|path| identity(path));
        Ok(Self { folder, identities, _file: file })
    }

    /// The folder, without links.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the lock file is still at its place: another process can take the folder otherwise.
    pub fn is_in_place(&self) -> bool {
        identity(&self.folder.join(NAME)) == self.identities[1]
    }

    /// Whether the folder is still at its place: it may be moved away, or its file system unmounted.
    pub fn folder_is_in_place(&self) -> bool {
        identity(&self.folder) == self.identities[0]
    }
}

fn identity(path: &Path) -> Option<Identity> {
    look(path).ok().map(|(identity, _)| identity)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Writes whose the folder is.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "pid {} since {}", process::id(), Timestamp::now().seconds())
}

fn in_use(folder: &Path) -> Error {
    Error::new(folder, Trouble::InUse { by: signature(&folder.join(NAME)) })
}

fn signature(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(text.get(..SHOWN).unwrap_or(&text)).into_owned();
    text.chars().take_while(|c| !c.is_control()).collect()
}

/// Who has the folder, `pid 12 since 2026-11-25T10:00:00Z`; `None` if no process has it.
pub fn holder(folder: &Path) -> Option<String> {
    let path = folder.join(NAME);
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(signature(&path)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_at_a_time_who_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        assert_eq!(holder(&path), None);
        let lock = Lock::take(&path).unwrap();
        assert!(lock.is_in_place());
        let by = format!("pid {} since 2", process::id());
        assert!(holder(&path).unwrap().starts_with(&by));
        let refusal = Lock::take(&path).unwrap_err().to_string();
        assert!(refusal.contains(&by), "{refusal}");
        drop(lock);
        assert_eq!(holder(&path), None);
        let lock = Lock::take(&path).unwrap();
        fs::remove_file(path.join(NAME)).unwrap();
        assert!(!lock.is_in_place());
    }
}
