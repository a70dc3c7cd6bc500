//! Write-ahead logs whose segment is gone, as it is after the open segment was moved and the server was killed.
//!
//! An open segment is never checkpointed: its log has all of its messages, and its file has nothing but the empty tables.
//! A new file with the same tables makes it whole again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::{error, warn};

use super::folder::{Folder, first_id};
use super::next;
use super::open::{Open, Writing};
use crate::database::{Error, beside, make_folder, size};

/// Makes each segment whole that has lost its file, or all that was in it.
pub(super) fn adopt(folder: &Folder, writing: Writing) -> Result<(), Error> {
    for path in orphans(folder)? {
        let Some(first_id) = path.file_name().and_then(first_id) else { continue };
        let log = beside(&path, "-wal");
        let copy = keep(&log, folder)?;
        // An index of the log that does not belong to the new file.
        let _ = fs::remove_file(beside(&path, "-shm"));
        next::place(folder, &path, writing)?;
        let open = Open::new(&path, first_id, writing)?;
        let (last, is_empty) = (open.last.id, open.is_empty());
        drop(open);
        let (path, log) = (path.display(), copy.display());
        if is_empty {
            error!(
                target: super::TARGET,
                "{path} was missing, and its write-ahead log has no message that can be read; {log} is a copy of it"
            );
        } else {
            warn!(
                target: super::TARGET,
                "{path} was missing; messages {first_id} to {last} are restored from its write-ahead log"
            );
            let _ = fs::remove_file(copy);
        }
    }
    Ok(())
}

/// The paths of segments that are missing or empty, but whose log is there and not empty.
fn orphans(folder: &Folder) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |err: io::Error| Error::unreadable(folder.path(), &err);
    let mut orphans = Vec::new();
    for entry in fs::read_dir(folder.path()).map_err(unreadable)? {
        let log = entry.map_err(unreadable)?.path();
        let segment = log.to_str().and_then(|path| path.strip_suffix("-wal")).map(PathBuf::from);
        let missing = segment.filter(|path| size(path) == 0);
        orphans.extend(missing.filter(|_| size(&log) > 0));
    }
    Ok(orphans)
}

/// A second name for the log, in case that the new file cannot read it.
fn keep(log: &Path, folder: &Folder) -> Result<PathBuf, Error> {
    let aside = folder.rescued();
    make_folder(&aside).map_err(|err| Error::folder(&aside, err))?;
    let copy = aside.join(log.file_name().unwrap_or_default());
    match fs::copy(log, &copy) {
        Ok(_) => Ok(copy),
        Err(err) => Err(Error::unreadable(&copy, &err)),
    }
}
