//! Files of a backup: links, copies, snapshots. All of them are on the disk when a function here returns.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::Failed;
use crate::database::{self, make_file};

/// The permissions of a segment that is sealed.
pub(super) const SEALED: u32 = 0o400;

/// The permissions of a file that is written.
pub(super) const WRITTEN: u32 = 0o600;

/// Gives a file that is never written again a second name, or copies it where that is impossible.
pub(super) fn link(from: &Path, to: &Path) -> io::Result<()> {
    // The name may be a symbolic link, which must not be in a backup.
    let from = fs::canonicalize(from)?;
    match fs::hard_link(&from, to) {
        Ok(()) => Ok(()),
        // Another file system, or one without links, or a file of another user.
        Err(_) => copy(&from, to, SEALED),
    }
}

/// Copies a file. Where the file system can share blocks, the copy takes no space.
pub(super) fn copy(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    // So that it has the right owner.
    make_file(to)?;
    fs::copy(from, to)?;
    finish(to, mode)
}

/// Writes a snapshot of the database `from` that others may be writing to. The snapshot needs no file beside it.
pub(super) fn snapshot(connection: &Connection, from: &Path, to: &Path, mode: u32) -> Result<(), Failed> {
    let name = to.to_str().ok_or(io::ErrorKind::InvalidFilename);
    let name = name.map_err(|kind| Failed::at(to)(kind.into()))?;
    // SQLite would create it with the permissions that the umask allows.
    make_file(to).map_err(Failed::at(to))?;
    connection.execute("VACUUM INTO ?", [name]).map_err(|err| {
        let is_damaged = err.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt);
        database::Error::of(if is_damaged { from } else { to }, &err)
    })?;
    finish(to, mode).map_err(Failed::at(to))
}

fn finish(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    File::open(path)?.sync_all()
}
