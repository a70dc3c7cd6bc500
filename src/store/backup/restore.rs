//! The way back: a backup becomes the data of a server.
//!
//! The files are copied and not linked, sealed ones too: owner and permissions belong to a file and not to its name, and
//! nothing that happens to the data afterwards may change the backup. The copy is made in a folder within the data's
//! own, which may be a mount point, and gets its names by two renames.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::copy::{self, SEALED, WRITTEN};
use super::save::content;
use super::{Failed, Manifest, Step};
use crate::database::{self, Lock, STATE_FILE, Trouble, holder, make_folder, sync_folder};
use crate::store::segments::folder::Folder;

/// The folder for a copy that is not complete.
const ROOM: &str = "restoring";

/// Copies a backup into the folder `data`, which must be missing or empty, and which no server may have.
pub fn restore(backup: &Path, data: &Path, tell: &mut dyn FnMut(Step)) -> Result<Manifest, Failed> {
    let manifest = Manifest::read(backup)?;
    if let Some(by) = holder(data) {
        return Err(database::Error::new(data, Trouble::InUse { by }).into());
    }
    if let Some(found) = content(data, &["lock", ROOM])? {
        return Err(Failed::Occupied { folder: data.into(), found });
    }
    // No server starts here before the end of this function.
    let lock = Lock::take(data)?;
    move_in(&manifest, backup, lock.folder(), tell)
        .map_err(|cause| Failed::Undone { cause: Box::new(cause) })?;
    Ok(manifest)
}

fn move_in(
    manifest: &Manifest,
    backup: &Path,
    data: &Path,
    tell: &mut dyn FnMut(Step),
) -> Result<(), Failed> {
    let room = Room::make(data)?;
    tell(Step::Total(manifest.bytes()));
    for file in &manifest.files {
        let mode = if file.name == STATE_FILE { WRITTEN } else { SEALED };
        let to = room.path.join(&file.name);
        let folder = to.parent().unwrap_or(&room.path);
        make_folder(folder).map_err(Failed::at(folder))?;
        copy::copy(&backup.join(&file.name), &to, mode).map_err(Failed::at(&to))?;
        tell(Step::Copied(file.bytes));
    }
    room.move_in(data)
}

/// The folder for a copy. It is removed unless the copy has moved in.
struct Room {
    path: PathBuf,
}

impl Room {
    /// Makes it empty. Another restore may have left one; the lock says that none is running.
    fn make(data: &Path) -> Result<Self, Failed> {
        let path = data.join(ROOM);
        match fs::remove_dir_all(&path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(Failed::at(&path)(err)),
            Ok(()) | Err(_) => {}
        }
        let messages = Folder::of(&path);
        make_folder(messages.path()).map_err(Failed::at(messages.path()))?;
        Ok(Self { path })
    }

    /// Gives the files their names. Messages come first: a server that started between the two renames would not give
    /// an id twice.
    fn move_in(&self, data: &Path) -> Result<(), Failed> {
        let (from, to) = (Folder::of(&self.path), Folder::of(data));
        let move_in = || -> io::Result<()> {
            if from.rescued().exists() {
                sync_folder(&from.rescued())?;
            }
            sync_folder(from.path())?;
            fs::rename(from.path(), to.path())?;
            if let Err(err) = self.move_state(data) {
                fs::rename(to.path(), from.path())?;
                return Err(err);
            }
            fs::remove_dir(&self.path)?;
            sync_folder(data)?;
            data.parent().map_or(Ok(()), sync_folder)
        };
        move_in().map_err(Failed::at(data))
    }

    /// A backup may have no state.
    fn move_state(&self, data: &Path) -> io::Result<()> {
        match fs::rename(self.path.join(STATE_FILE), data.join(STATE_FILE)) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // After a success it is not there any more.
        let _ = fs::remove_dir_all(&self.path);
    }
}
