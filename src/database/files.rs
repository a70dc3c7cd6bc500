//! Files and folders: their identity, and the permissions that data has.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use super::Error;

/// The identity of a file, to detect a replacement: SQLite keeps writing to a file that was moved away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// The identity and the size of the file at `path`.
pub fn look(path: &Path) -> io::Result<(Identity, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((Identity { device: metadata.dev(), inode: metadata.ino() }, metadata.len()))
}

/// The identity of the file at `path`; `None` if it cannot be seen.
pub fn identity_of(path: &Path) -> Option<Identity> {
    look(path).ok().map(|(identity, _)| identity)
}

/// Bytes of the file at `path`; 0 if it cannot be seen.
pub fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(err) if err.kind() != ErrorKind::NotFound => Err(Error::unreadable(path, &err)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The path of a file that SQLite keeps beside its database: `-wal`, `-shm`.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    beside.into()
}

/// Creates a folder and its parents, for the owner only.
pub fn make_folder(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(ErrorKind::NotADirectory.into()),
        Err(err) if err.kind() != ErrorKind::NotFound => return Err(err),
        Err(_) => {}
    }
    if let Some(parent) = parent(path) {
        make_folder(parent)?;
    }
    created(DirBuilder::new().mode(0o700).create(path), path)
}

/// Creates an empty file for the owner only, if there is none. SQLite gives its own files the same permissions.
pub fn make_file(path: &Path) -> io::Result<()> {
    created(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop), path)
}

/// Another process may have been first.
fn created(created: io::Result<()>, path: &Path) -> io::Result<()> {
    match created {
        Ok(()) => hand_over(path),
        Err(err) if err.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(err) => Err(err),
    }
}

/// What root creates gets the owner of its folder: the service, which is not root, must be able to open it.
fn hand_over(path: &Path) -> io::Result<()> {
    const ROOT: u32 = 0;
    let folder = fs::metadata(parent(path).unwrap_or(Path::new(".")))?;
    if fs::metadata(path)?.uid() == ROOT && folder.uid() != ROOT {
        chown(path, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// The folder of a path; `None` is the working directory, or the root.
fn parent(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty())
}

/// Makes the names in a folder survive a power failure.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_for_their_owner_and_may_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        let file = deep.join("file");
        for _ in 0..2 {
            make_folder(&deep).unwrap();
            make_file(&file).unwrap();
        }
        assert_eq!((mode(&deep), mode(deep.parent().unwrap()), mode(&file)), (0o700, 0o700, 0o600));
        assert!(make_folder(&file).is_err() && make_folder(&file.join("below")).is_err());
    }

    #[test]
    fn what_root_creates_belongs_to_the_owner_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        if chown(folder.path(), Some(12_345), Some(12_346)).is_err() {
            eprintln!("skipped: this test needs root");
            return;
        }
        let deep = folder.path().join("a/b");
        make_folder(&deep).unwrap();
        make_file(&deep.join("file")).unwrap();
        for path in [deep.parent().unwrap(), &deep, &deep.join("file")] {
            let found = fs::metadata(path).unwrap();
            assert_eq!((found.uid(), found.gid()), (12_345, 12_346), "{}", path.display());
        }
    }
}
