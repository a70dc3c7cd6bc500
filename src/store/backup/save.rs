//! Making a backup while a server writes, seals and removes segments.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rusqlite::Connection;

use super::copy::{self, SEALED, WRITTEN};
use super::{Failed, File, Manifest, Step};
use crate::database::{self, SINGLE_FILE, STATE_FILE, Timestamp, Trouble, make_folder, sync_folder};
use crate::store::segments::folder::{Folder, RESCUED, Segment};
use crate::store::segments::reader::{Ids, Lost, search};
use crate::store::segments::segment;

/// Copies the data of the folder `data` into `target`, which must be missing or empty.
///
/// Everything that was stored before is in the backup, once: the segments are listed first, and a segment that is in
/// use is copied as it is at one moment. Messages that retention removes during the backup are reported and are not in it.
/// The single file of former versions has no place in a backup: it fails until a start has taken that file over.
pub fn save(data: &Path, target: &Path, tell: &mut dyn FnMut(Step)) -> Result<Manifest, Failed> {
    if let Some(found) = content(target, &[])? {
        return Err(Failed::Used { folder: target.into(), found });
    }
    let single = data.join(SINGLE_FILE);
    if single.symlink_metadata().is_ok() {
        return Err(database::Error::new(&single, Trouble::NotTakenOver).into());
    }
    let begun = Timestamp::now();
    fill(data, target, begun, tell)
        .map_err(|cause| Failed::Incomplete { folder: target.into(), cause: Box::new(cause) })
}

/// What is in a folder beside `ignored` names; `None` if it is empty or missing.
pub(super) fn content(folder: &Path, ignored: &[&str]) -> Result<Option<String>, Failed> {
    const NAMED: usize = 5;
    let entries = match fs::read_dir(folder) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(Failed::at(folder))?,
    };
    let names = entries.map_while(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| !ignored.contains(&name.as_str())).take(NAMED).collect();
    names.sort();
    Ok(Some(names.join(", ")).filter(|names| !names.is_empty()))
}

fn fill(
    data: &Path,
    target: &Path,
    begun: Timestamp,
    tell: &mut dyn FnMut(Step),
) -> Result<Manifest, Failed> {
    let to = Folder::of(target);
    make_folder(to.path()).map_err(Failed::at(to.path()))?;
    let mut manifest = Manifest::new(begun.to_string());
    manifest.files.extend(save_state(data, target)?);
    let listed = Folder::of(data).list()?;
    tell(Step::Total(listed.iter().map(|segment| segment.size).sum()));
    // Retention removes the oldest first: the newest are copied first, so that no hole is left.
    for (at, segment) in listed.iter().enumerate().rev() {
        let ids = Ids { first: segment.first_id, end: listed.get(at + 1).map(|next| next.first_id) };
        save_segment(segment, ids, &to, &mut manifest, tell)?;
        tell(Step::Copied(segment.size));
    }
    save_rescued(&Folder::of(data), &to, &mut manifest)?;
    for folder in [Some(to.path()), Some(target), target.parent()].into_iter().flatten() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        sync_folder(folder).map_err(Failed::at(folder))?;
    }
    manifest.files.sort_by(|one, other| one.name.cmp(&other.name));
    manifest.write(target)?;
    Ok(manifest)
}

/// Copies the state, if there is one.
fn save_state(data: &Path, target: &Path) -> Result<Option<File>, Failed> {
    let (from, to) = (data.join(STATE_FILE), target.join(STATE_FILE));
    if !from.exists() {
        return Ok(None);
    }
    let state = database::open_read_only(&database::STATE, &from)?;
    copy::snapshot(&state, &from, &to, WRITTEN)?;
    file(STATE_FILE.into(), &to).map(Some)
}

/// Copies a segment. One that has gone, or that cannot be read, is reported.
fn save_segment(
    segment: &Segment,
    ids: Ids,
    to: &Folder,
    manifest: &mut Manifest,
    tell: &mut dyn FnMut(Step),
) -> Result<(), Failed> {
    let copy = to.segment(segment.first_id);
    match save_rows(segment, &copy) {
        Ok(()) => {}
        Err(_) if segment.is_gone() => {
            tell(Step::Lost(Lost::Removed { segment: segment.path.clone(), ids }));
            return discard(&copy);
        }
        // The newest segment has no tables before its first transaction.
        Err(Failed::Database(error)) if is_empty(&error) && ids.end.is_none() => return discard(&copy),
        Err(Failed::Database(error)) if is_damaged(&error, &segment.path) => {
            tell(Step::Lost(Lost::Unreadable { error, ids }));
            return discard(&copy);
        }
        Err(failed) => return Err(failed),
    }
    match ends(&copy) {
        Ok(Some((first, last))) => manifest.add_older(first, last),
        Ok(None) => {}
        // A sealed segment is copied as it is: some of it may be recovered one day.
        Err(error) => tell(Step::Lost(Lost::Unreadable { error, ids })),
    }
    manifest.files.push(file(to.name(segment.first_id), &copy)?);
    Ok(())
}

fn save_rows(segment: &Segment, to: &Path) -> Result<(), Failed> {
    let from = &segment.path;
    if is_final(from)? {
        return copy::link(from, to).map_err(Failed::at(to));
    }
    let connection = segment::open_read_only(from)?;
    copy::snapshot(&connection, from, to, SEALED)
}

/// Whether a segment is sealed, and is never written again. SQLite creates a file without a write-ahead log: one that
/// is just being created would look sealed otherwise.
fn is_final(path: &Path) -> Result<bool, Failed> {
    let is_read_only = fs::metadata(path).map_err(Failed::at(path))?.permissions().readonly();
    match segment::is_sealed(path) {
        Err(error) if is_read_only && is_damaged(&error, path) => Ok(true),
        is_sealed => Ok(is_read_only && is_sealed?),
    }
}

fn is_empty(error: &database::Error) -> bool {
    matches!(error.trouble(), Trouble::Older { found: 0, .. })
}

/// Whether no later attempt will read it either.
fn is_damaged(error: &database::Error, path: &Path) -> bool {
    let is_lasting =
        matches!(error.trouble(), Trouble::Corrupt { .. } | Trouble::NotADatabase | Trouble::NotOurs);
    is_lasting && error.path() == path
}

/// Copies what the server has saved of lost segments, and has no place among the others.
fn save_rescued(from: &Folder, to: &Folder, manifest: &mut Manifest) -> Result<(), Failed> {
    let (from, to) = (from.rescued(), to.rescued());
    let entries = match fs::read_dir(&from) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Failed::at(&from))?,
    };
    make_folder(&to).map_err(Failed::at(&to))?;
    for entry in entries {
        let name = entry.map_err(Failed::at(&from))?.file_name();
        let copy = to.join(&name);
        copy::link(&from.join(&name), &copy).map_err(Failed::at(&copy))?;
        manifest.files.push(file(format!("{RESCUED}/{}", name.to_string_lossy()), &copy)?);
    }
    sync_folder(&to).map_err(Failed::at(&to))
}

/// Removes what was begun of a copy.
fn discard(copy: &Path) -> Result<(), Failed> {
    match fs::remove_file(copy) {
        Err(err) if err.kind() != ErrorKind::NotFound => Err(Failed::at(copy)(err)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The first and the last id of a copy.
fn ends(copy: &Path) -> Result<Option<(i64, i64)>, database::Error> {
    let connection: Connection = segment::open_read_only(copy)?;
    let ends = search::ends(&connection).map_err(|err| segment::failed(copy, &err))?;
    Ok(ends.map(|(first, last)| (first.id, last.id)))
}

fn file(name: String, path: &Path) -> Result<File, Failed> {
    let bytes = fs::metadata(path).map_err(Failed::at(path))?.len();
    Ok(File { name, bytes })
}
