//! The first start after an upgrade: the single file of former versions becomes the first segment, and its ids the state.
//!
//! The rows of messages stay where they are. Each step leaves a state from which the next start can go on:
//!
//! 1. The write-ahead log of the old file is copied into it and removed, which fails while another program has the file
//!    open: until now nothing has changed.
//! 2. The ids are copied into a new file, which becomes `state.db` as a whole.
//! 3. One transaction removes the ids from the old file, and marks it as a segment.
//! 4. It moves to the segments.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use log::warn;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::folder::Folder;
use super::open::Writing;
use super::seal::{checkpoint, finish};
use super::segment::SCHEMA;
use crate::database::{
    self, Error, Options, SINGLE, SINGLE_FILE, STATE, State, Trouble, beside, make_folder, remove,
    sync_folder,
};

/// The unfinished state.
const UNFINISHED: &str = "state.tmp";

/// Ids that the state does not have. One that it has was taken over by an interrupted upgrade, and may have been changed
/// since.
const MISSING: &str = "SELECT count(*) FROM main.client WHERE id NOT IN (SELECT id FROM state.client)";

const COPY: &str = "INSERT INTO state.client (id, enabled, note, expires_at, created_at)
        SELECT id, enabled, note, expires_at, created_at FROM main.client;
    INSERT INTO state.unknown_client SELECT id, peer, first_at, last_at, times, reason FROM main.unknown_client;";

/// The table `pruned` stays: an upgrade that goes on would not know the next id of an empty file otherwise.
const CONVERT: &str = "DROP TABLE client; DROP TABLE unknown_client;";

const IDS: &str = "SELECT min(id), max(id), (SELECT last_id FROM pruned) FROM message";

/// What an upgrade did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Upgraded {
    /// The first id of the segment that the old file has become.
    pub(super) first_id: i64,
    /// The last id in it, or the one before `first_id`.
    pub(super) last_id: i64,
}

/// Upgrades the folder `data`, if there is an old file in it. The caller has the lock of the folder. After an error
/// nothing may be written there: ids would be given twice.
pub(super) fn upgrade(data: &Path, writing: Writing) -> Result<Option<Upgraded>, Error> {
    let folder = Folder::of(data);
    let Some(old) = find(data, &folder)? else { return Ok(None) };
    let upgrade = Upgrade { data, old: &old, folder, writing };
    upgrade.run(&mut |_| Ok(())).map(Some)
}

/// The old file without links; `None` if there is none.
fn find(data: &Path, folder: &Folder) -> Result<Option<PathBuf>, Error> {
    let path = data.join(SINGLE_FILE);
    let old = match fs::canonicalize(&path) {
        Ok(old) => old,
        Err(err) if err.kind() != ErrorKind::NotFound => return Err(Error::unreadable(&path, &err)),
        Err(_) => match fs::read_link(&path) {
            Ok(target) => return forget_link(&path, &target, folder),
            Err(_) => path,
        },
    };
    if size(&old)? > 0 {
        return Ok(Some(old));
    }
    // SQLite would throw the log of an empty file away.
    let log = beside(&old, "-wal");
    if size(&log)? == 0 {
        return remove_empty(&old).map(|()| None);
    }
    let alone = Error::new(&log, Trouble::LoneLog);
    if folder.list()?.is_empty() {
        return Err(alone);
    }
    // It was there before, and does not prevent storing.
    warn!(target: super::TARGET, "{alone}");
    Ok(None)
}

/// 0 if there is no file.
fn size(path: &Path) -> Result<u64, Error> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(0),
        Err(err) => Err(Error::unreadable(path, &err)),
    }
}

/// Removes a link that leads nowhere, if its file has become a segment. Otherwise the disk of the file is missing.
fn forget_link(link: &Path, target: &Path, folder: &Folder) -> Result<Option<PathBuf>, Error> {
    if folder.list()?.is_empty() {
        let cause = format!("a link to {}, which is missing", target.display());
        return Err(Error::new(link, Trouble::Unopened { cause }));
    }
    remove(link).map(|()| None)
}

/// Removes a file without tables, as a server leaves it that was killed at its first start.
fn remove_empty(old: &Path) -> Result<(), Error> {
    ["", "-wal", "-shm", "-journal"].iter().try_for_each(|ending| remove(&beside(old, ending)))
}

struct Upgrade<'a> {
    data: &'a Path,
    old: &'a Path,
    folder: Folder,
    writing: Writing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Seal,
    WriteState,
    PlaceState,
    Convert,
    Move,
    RemoveLink,
}

/// Called before each step; tests make it fail.
type Before<'a> = &'a mut dyn FnMut(Step) -> Result<(), Error>;

impl Upgrade<'_> {
    fn run(&self, before: Before<'_>) -> Result<Upgraded, Error> {
        self.check_disk()?;
        let mut connection = database::open_as_found(&self.options(self.old))?;
        let is_single = self.is_single(&connection)?;
        before(Step::Seal)?;
        checkpoint(&connection, self.old)?;
        if is_single {
            SINGLE.migrate(&mut connection, self.old)?;
        }
        let upgraded = Upgraded::read(&connection).map_err(|err| Error::of(self.old, &err))?;
        self.check_free(upgraded.first_id)?;
        if is_single {
            self.take_ids(&connection, before)?;
            before(Step::Convert)?;
            convert(&mut connection).map_err(|err| Error::of(self.old, &err))?;
        }
        drop(connection);
        before(Step::Move)?;
        self.move_to(&self.folder.segment(upgraded.first_id))?;
        before(Step::RemoveLink)?;
        remove(&self.data.join(SINGLE_FILE))?;
        sync(self.data)?;
        Ok(upgraded)
    }

    fn options(&self, path: &Path) -> Options {
        Options { path: path.into(), full: true, lock_timeout: self.writing.lock_timeout }
    }

    /// Fails if the old file cannot move to the segments without being copied.
    fn check_disk(&self) -> Result<(), Error> {
        let folder = self.folder.path();
        make_folder(folder).map_err(|err| Error::folder(folder, err))?;
        let disk = |path: &Path| {
            fs::metadata(path).map(|found| found.dev()).map_err(|err| Error::unreadable(path, &err))
        };
        if disk(self.old)? == disk(folder)? { Ok(()) } else { Err(self.other_disk()) }
    }

    fn other_disk(&self) -> Error {
        Error::new(self.old, Trouble::OtherDisk { folder: self.folder.path().into() })
    }

    /// Whether the old file still has the ids, and is no segment yet.
    fn is_single(&self, connection: &Connection) -> Result<bool, Error> {
        match SINGLE.found(connection, self.old) {
            Err(err) if *err.trouble() == Trouble::NotOurs => {
                SCHEMA.found(connection, self.old).map(|_| false)
            }
            found => found.map(|_| true),
        }
    }

    /// Fails if there are segments of other messages already.
    fn check_free(&self, first_id: i64) -> Result<(), Error> {
        match self.folder.list()?.first() {
            Some(other) => Err(Error::new(self.old, Trouble::Twice { other: other.path.clone(), first_id })),
            None => Ok(()),
        }
    }

    /// Makes sure that the state has all ids of the old file.
    fn take_ids(&self, old: &Connection, before: Before<'_>) -> Result<(), Error> {
        let state = State::file(self.data);
        if state.exists() {
            return self.compare(old, &state);
        }
        before(Step::WriteState)?;
        let unfinished = self.data.join(UNFINISHED);
        self.write_state(old, &unfinished)?;
        before(Step::PlaceState)?;
        fs::rename(&unfinished, &state).map_err(|err| Error::unreadable(&state, &err))?;
        sync(self.data)
    }

    /// Writes the ids into a new file.
    fn write_state(&self, old: &Connection, path: &Path) -> Result<(), Error> {
        // What an interrupted start has left.
        remove_empty(path)?;
        drop(database::open_plain(&STATE, &self.options(path))?);
        attached(old, path, |old| {
            // Only the new file is locked for writing: a transaction on both would leave journals if it is interrupted.
            let transaction = Transaction::new_unchecked(old, TransactionBehavior::Deferred)?;
            transaction.execute_batch(COPY)?;
            transaction.commit()
        })
    }

    /// Fails unless all ids of the old file are in the state.
    fn compare(&self, old: &Connection, state: &Path) -> Result<(), Error> {
        drop(database::open_plain(&STATE, &self.options(state))?);
        let missing: i64 = attached(old, state, |old| old.query_row(MISSING, [], |row| row.get(0)))?;
        match missing {
            0 => Ok(()),
            _ => Err(Error::new(self.old, Trouble::TwoStates { other: state.into() })),
        }
    }

    fn move_to(&self, place: &Path) -> Result<(), Error> {
        // A power failure must not bring the log or the journal back, which would be without the file then.
        self.old.parent().map_or(Ok(()), sync)?;
        fs::rename(self.old, place).map_err(|err| match err.kind() {
            // Not all disks can be told apart by their number.
            ErrorKind::CrossesDevices => self.other_disk(),
            _ => Error::unreadable(place, &err),
        })?;
        finish(place)
    }
}

impl Upgraded {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        connection.query_row(IDS, [], |row| {
            let pruned: i64 = row.get(2)?;
            let first_id = row.get::<_, Option<i64>>(0)?.unwrap_or(pruned + 1);
            let last_id = row.get::<_, Option<i64>>(1)?.unwrap_or(pruned);
            Ok(Self { first_id, last_id })
        })
    }
}

/// Does `work` with another file as the schema `state`.
fn attached<T>(
    connection: &Connection,
    other: &Path,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, Error> {
    let sqlite = |err| Error::of(other, &err);
    let name = ToSqlOutput::Borrowed(ValueRef::Text(other.as_os_str().as_bytes()));
    connection.execute("ATTACH ? AS state", [name]).map_err(sqlite)?;
    let done = work(connection).map_err(sqlite)?;
    connection.execute_batch("DETACH state").map_err(sqlite)?;
    Ok(done)
}

/// Makes the old file a segment, in one transaction.
fn convert(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(CONVERT)?;
    SCHEMA.mark(&transaction)?;
    transaction.commit()
}

fn sync(folder: &Path) -> Result<(), Error> {
    sync_folder(folder).map_err(|err| Error::unreadable(folder, &err))
}

#[cfg(test)]
mod tests;
