//! The lock file of a data folder, which names the server that uses it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{process, thread};

use super::files::{Identity, identity_of, make_file, make_folder};
use super::{Error, Timestamp, Trouble};

/// Before the last id, in the second line of the lock file.
const NOTE: &str = "last id ";

/// The name of the lock file.
const NAME: &str = "lock";

/// Maximum bytes that are read of a lock file.
const SHOWN: usize = 100;

/// A command that reads the lock's owner locks the file for an instant, so the first attempt may fail.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// A folder that belongs to this process until the lock is dropped.
#[derive(Debug)]
pub struct Lock {
    folder: PathBuf,
    identity: Option<Identity>,
    /// The last id that an earlier process has noted.
    noted: i64,
    held: Mutex<Held>,
}

/// The lock file.
#[derive(Debug)]
struct Held {
    identity: Option<Identity>,
    /// Whose the folder is, a line.
    signature: String,
    /// `None` once it is released.
    file: Option<File>,
}

impl Lock {
    /// Takes the folder, and creates it if it is missing. Fails if another process has it. The path is resolved here,
    /// once: a link that is changed later does not lead somewhere else.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        make_folder(folder).map_err(|source| Error::folder(folder, source))?;
        let folder = fs::canonicalize(folder).map_err(|source| Error::unreadable(folder, &source))?;
        let (held, noted) = Held::take(&folder)?;
        Ok(Self { identity: identity_of(&folder), folder, noted, held: Mutex::new(held) })
    }

    /// The folder, without links.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the lock file is still at its place: another process can take the folder otherwise.
    pub fn is_in_place(&self) -> bool {
        identity_of(&self.folder.join(NAME)) == self.held().identity
    }

    /// Whether the folder is still at its place: it may be moved away, or its file system unmounted.
    pub fn folder_is_in_place(&self) -> bool {
        identity_of(&self.folder) == self.identity
    }

    /// Notes the last id that was given, for the next process: it finds out that files are missing.
    pub fn note(&self, last_id: i64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.folder.join(NAME))?;
        let text = format!("{}{NOTE}{last_id}\n", self.held().signature);
        file.write_all_at(text.as_bytes(), 0)?;
        file.set_len(text.len() as u64)
    }

    /// The last id that an earlier process has noted; 0 if none has.
    pub const fn noted(&self) -> i64 {
        self.noted
    }

    /// Gives the folder back: this process writes nothing more in it.
    pub fn release(&self) {
        self.held().file = None;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the folder again after its lock file was removed. Fails if another process has taken it.
    pub fn renew(&self) -> Result<(), Error> {
        let (renewed, _) = Held::take(&self.folder)?;
        *self.held() = renewed;
        Ok(())
    }
}

impl Held {
    /// The lock, and the id that was noted.
    fn take(folder: &Path) -> Result<(Self, i64), Error> {
        let path = folder.join(NAME);
        let failed = |source: io::Error| Error::unreadable(&path, &source);
        make_file(&path).map_err(failed)?;
        let mut signed = OpenOptions::new().write(true).open(&path).map_err(failed)?;
        // For reading only, so that the file system can be made read-only.
        let file = File::open(&path).map_err(failed)?;
        match try_often(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(folder)),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let noted = read_note(&path);
        let signature = format!("pid {} since {}\n", process::id(), Timestamp::now().seconds());
        let text = if noted > 0 { format!("{signature}{NOTE}{noted}\n") } else { signature.clone() };
        signed.set_len(0).and_then(|()| signed.write_all(text.as_bytes())).map_err(failed)?;
        Ok((Self { identity: identity_of(&path), signature, file: Some(file) }, noted))
    }
}

fn try_often(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
            other => return other,
        }
    }
    file.try_lock()
}

fn read_note(path: &Path) -> i64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(NOTE)?.parse().ok()).unwrap_or(0)
}

fn in_use(folder: &Path) -> Error {
    Error::new(folder, Trouble::InUse { by: signature(&folder.join(NAME)) })
}

fn signature(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(text.get(..SHOWN).unwrap_or(&text)).into_owned();
    text.chars().take_while(|c| !c.is_control()).collect()
}

/// The process that has the folder, `pid 12 since 2026-11-25T10:00:00Z`; `None` if no process has it.
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
    fn a_folder_belongs_to_one_process_at_a_time_which_is_named() {
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
        lock.renew().unwrap();
        assert!(lock.is_in_place() && holder(&path).is_some());
        fs::remove_file(path.join(NAME)).unwrap();
        let other = Lock::take(&path).unwrap();
        assert!(matches!(lock.renew().unwrap_err().trouble(), Trouble::InUse { .. }));
        drop(other);
        lock.renew().unwrap();
    }

    #[test]
    fn reading_the_lock_does_not_prevent_taking_it() {
        let folder = tempfile::tempdir().unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    holder(folder.path());
                }
            });
            let taken: Result<Vec<_>, _> = (0..200).map(|_| Lock::take(folder.path()).map(drop)).collect();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            taken.unwrap();
        });
    }
}
