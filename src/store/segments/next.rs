//! The next segment: an empty file that is made ready before it is needed, and gets its name then.

use std::fs;
use std::io;
use std::path::Path;

use super::folder::Folder;
use super::open::{Writing, make};
use crate::database::{Error, sync_folder};

/// The name of the file that is ready, of one that is not yet, and of one that the writer makes itself.
const READY: &str = "next.db";
const UNFINISHED: &str = "next.tmp";
const UNPREPARED: &str = "first.tmp";

/// Makes the next segment ready, if it is not.
pub(super) fn prepare(folder: &Folder, writing: Writing) -> Result<(), Error> {
    let (ready, unfinished) = (folder.path().join(READY), folder.path().join(UNFINISHED));
    if ready.exists() {
        return Ok(());
    }
    make(&unfinished, writing)?;
    rename(&unfinished, &ready)
}

/// Gives the next segment its name.
pub(super) fn place(folder: &Folder, path: &Path, writing: Writing) -> Result<(), Error> {
    let ready = folder.path().join(READY);
    match fs::rename(&ready, path) {
        Ok(()) => {}
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            let unprepared = folder.path().join(UNPREPARED);
            make(&unprepared, writing)?;
            rename(&unprepared, path)?;
        }
        Err(err) => return Err(Error::unreadable(path, &err)),
    }
    sync_folder(folder.path()).map_err(|err| Error::unreadable(folder.path(), &err))
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|err| Error::unreadable(to, &err))
}
