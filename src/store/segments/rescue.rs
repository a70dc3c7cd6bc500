//! What can be saved when the files of the open segment are moved, removed, replaced or cut short.
//!
//! The server still has them open. Its messages are copied into a new file, which takes the place of the lost one, or goes
//! to a folder beside the segments if another file has that place.

use std::fs;
use std::path::{Path, PathBuf};

use log::{error, warn};
use rusqlite::Connection;
use rusqlite::types::ToSqlOutput;

use super::folder::Folder;
use super::rows::INSERT;
use super::seal::finish;
use super::segment::SCHEMA;
use crate::database::{self, Error, Identity, Options, beside, look, make_folder};

/// A segment whose files are lost, still open.
pub(super) struct Remains {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) file: Identity,
    pub(super) first_id: i64,
    pub(super) last_id: i64,
}

/// Saves the messages, and says where they are.
pub(super) fn rescue(remains: Remains, folder: &Folder) {
    let (path, first, last) = (remains.path.display().to_string(), remains.first_id, remains.last_id);
    match save(remains, folder) {
        Ok(Saved { place, last: saved }) if saved >= last => warn!(
            target: super::TARGET,
            "messages {first} to {last} of {path} are saved in {}",
            place.display()
        ),
        Ok(Saved { place, last: saved }) => error!(
            target: super::TARGET,
            "messages {} to {last} of {path} are lost with its files; {} has those before",
            saved + 1,
            place.display()
        ),
        Err(err) => error!(
            target: super::TARGET,
            "messages {first} to {last} of {path} cannot be saved ({err}): if the file was moved, put it and its -wal \
             file back together, and restart the server"
        ),
    }
}

struct Saved {
    place: PathBuf,
    last: i64,
}

fn save(remains: Remains, folder: &Folder) -> Result<Saved, Error> {
    let Remains { connection, path, file, first_id, .. } = remains;
    let unfinished = folder.path().join(format!("rescue-{first_id}.tmp"));
    let last = copy(&connection, &unfinished, first_id)?;
    // Without a checkpoint: its files may be no longer its own.
    drop(connection);
    let place = place(&path, file, folder)?;
    finish(&unfinished)?;
    fs::rename(&unfinished, &place).map_err(|err| Error::unreadable(&place, &err))?;
    finish(&place)?;
    Ok(Saved { place, last })
}

/// The path of the lost file, unless it is another file's now.
fn place(path: &Path, file: Identity, folder: &Folder) -> Result<PathBuf, Error> {
    match look(path) {
        Ok((found, _)) if found != file => {
            let aside = folder.rescued();
            make_folder(&aside).map_err(|err| Error::folder(&aside, err))?;
            Ok(aside.join(path.file_name().unwrap_or_default()))
        }
        Ok(_) | Err(_) => Ok(path.into()),
    }
}

/// Copies all messages that can be read into a new file. Returns the id of the last one.
fn copy(from: &Connection, path: &Path, first_id: i64) -> Result<i64, Error> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        // What an interrupted attempt has left.
        let _ = fs::remove_file(beside(path, ending));
    }
    let options = Options { path: path.into(), full: true, lock_timeout: std::time::Duration::ZERO };
    let mut to = database::open_plain(&SCHEMA, &options)?;
    let sqlite = |err: rusqlite::Error| Error::of(path, &err);
    let transaction = to.transaction().map_err(sqlite)?;
    let last = rows(from, &transaction, first_id).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)?;
    to.close().map_err(|(_, err)| Error::of(path, &err))?;
    Ok(last)
}

/// Fails if a row cannot be written. Ends before one that cannot be read.
fn rows(from: &Connection, to: &Connection, first_id: i64) -> rusqlite::Result<i64> {
    let mut last = first_id - 1;
    let Ok(mut all) =
        from.prepare("SELECT id, received_at, client, peer, listener, mode, data FROM message ORDER BY id")
    else {
        return Ok(last);
    };
    let Ok(mut rows) = all.query([]) else { return Ok(last) };
    let mut insert = to.prepare(INSERT)?;
    while let Ok(Some(row)) = rows.next() {
        for column in 0..7 {
            insert.raw_bind_parameter(column + 1, ToSqlOutput::Borrowed(row.get_ref(column)?))?;
        }
        insert.raw_execute()?;
        last = row.get(0)?;
    }
    drop(rows);
    steps(from, to)?;
    Ok(last)
}

/// Copies the steps of the clock, if they can be read.
fn steps(from: &Connection, to: &Connection) -> rusqlite::Result<()> {
    let Ok(mut all) = from.prepare("SELECT first_id FROM clock_step") else { return Ok(()) };
    let Ok(mut rows) = all.query([]) else { return Ok(()) };
    while let Ok(Some(row)) = rows.next() {
        to.execute("INSERT INTO clock_step VALUES (?)", [row.get::<_, i64>(0)?])?;
    }
    Ok(())
}
