//! Files and folders: their identity, and the permissions that data has.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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

/// The path of a file that SQLite keeps beside its database: `-wal`, `-shm`.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    beside.into()
}

/// Creates a folder and its parents, for the owner only.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Creates an empty file for the owner only, if there is none. SQLite gives its own files the same permissions.
pub fn make_file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => Err(err),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Makes the names in a folder survive a power failure.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
