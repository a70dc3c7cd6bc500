//! The newest segment: where a start, and a writer that has lost its file, go on.

use std::fs;

use log::warn;

use super::folder::{Folder, Segment};
use super::open::{Open, Writing};
use super::{TARGET, next, orphan, segment};
use crate::database::{Error, Lock, Trouble, make_folder};

/// Ids that may have been given between a note of the last one and the end of the process: more than a second's.
const RESERVE: i64 = 10_000_000;

/// Opens the newest segment in the folder of `lock`, or begins one. The next id is `next_id` at least, and none that an
/// earlier process may have given.
pub(super) fn open_newest(lock: &Lock, next_id: i64, writing: Writing) -> Result<Open, Error> {
    if !lock.folder_is_in_place() {
        return Err(Error::new(lock.folder(), Trouble::Moved));
    }
    let folder = Folder::of(lock.folder());
    let newest = prepare_folder(&folder, writing)?.pop();
    let open = continue_after(newest.as_ref(), &folder, next_id, writing)?;
    if open.last.id >= lock.noted() {
        return Ok(open);
    }
    // Some more were given since the note.
    let next_id = lock.noted().saturating_add(RESERVE);
    warn!(
        target: TARGET,
        "messages {} to {} and possibly later ones are missing in {}: their files were moved or removed; the next message is \
         {next_id}",
        open.last.id + 1,
        lock.noted(),
        folder.path().display()
    );
    drop(open);
    continue_after(folder.list()?.last(), &folder, next_id, writing)
}

/// Makes the folder, and whole what an interrupted run has left in it. Returns all segments.
pub(super) fn prepare_folder(folder: &Folder, writing: Writing) -> Result<Vec<Segment>, Error> {
    make_folder(folder.path()).map_err(|err| Error::folder(folder.path(), err))?;
    orphan::adopt(folder, writing)?;
    folder.list()
}

/// Opens the newest segment, or begins the next one if there is none that can be written.
pub(super) fn continue_after(
    newest: Option<&Segment>,
    folder: &Folder,
    next_id: i64,
    writing: Writing,
) -> Result<Open, Error> {
    let Some(newest) = newest else { return begin(folder, next_id, writing).map_err(Begin::into_error) };
    let last_id = if segment::is_sealed(&newest.path)? {
        segment::last_id(&newest.path, newest.first_id)?
    } else {
        let open = Open::new(&newest.path, newest.first_id, writing)?;
        if open.last.id + 1 >= next_id {
            return Ok(open);
        }
        open.last.id
    };
    begin(folder, next_id.max(last_id + 1), writing).map_err(Begin::into_error)
}

/// Why no segment was begun.
pub(super) enum Begin {
    /// Everything is as before.
    Nothing(Error),
    /// The file is there and cannot be used.
    Half(Error),
}

impl Begin {
    fn into_error(self) -> Error {
        let (Self::Nothing(err) | Self::Half(err)) = self;
        err
    }
}

/// Begins the segment of this id, which is the open one from then on.
pub(super) fn begin(folder: &Folder, first_id: i64, writing: Writing) -> Result<Open, Begin> {
    let path = folder.segment(first_id);
    next::place(folder, &path, writing).map_err(Begin::Nothing)?;
    Open::new(&path, first_id, writing).map_err(|err| match fs::remove_file(&path) {
        Ok(()) => Begin::Nothing(err),
        Err(_) => Begin::Half(err),
    })
}
