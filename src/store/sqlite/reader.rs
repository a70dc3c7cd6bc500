//! Reading messages back, from a file that a server may be writing to.
//!
//! Each read is a short transaction of its own. It returns its rows after it has ended, so a reader with a slow output
//! does not prevent a reset of the write-ahead log.

mod search;
mod summary;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use crate::database::{self, Error, Identity, Timestamp, Trouble, look};

pub use self::summary::Summary;

/// Maximum ids per transaction.
const ROWS: i64 = 10_000;

/// A transaction stops reading messages when their data reaches this size, in bytes.
const BYTES: usize = 1 << 20;

/// SQLite does not load the data of rows of other clients.
const WINDOW: &str = "SELECT id, received_at, client, peer, listener, mode, data FROM message
    WHERE id >= ?1 AND id < ?2 AND (?3 IS NULL OR client = ?3) ORDER BY id";

/// A message from a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number: later messages have higher numbers.
    pub id: i64,
    /// The time of receipt.
    pub received_at: Timestamp,
    /// The device.
    pub client: String,
    /// The device's address and port.
    pub peer: String,
    /// The listener that received it.
    pub listener: String,
    /// `session` or `one-shot`.
    pub mode: String,
    /// The data.
    pub data: Vec<u8>,
}

/// The selection of messages; all by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only messages of this device.
    pub client: Option<String>,
    /// Only messages received at this time or later.
    pub since: Option<Timestamp>,
    /// Only messages received before this time.
    pub until: Option<Timestamp>,
    /// Only the newest N messages.
    pub limit: Option<u64>,
}

/// A file opened for reading only.
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    identity: Option<Identity>,
}

impl Reader {
    /// Opens the file. It must exist and have the current version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        // Before the file is opened: a replacement in between is detected.
        let identity = identity(path);
        let connection = database::open_read_only(&database::SINGLE, path)?;
        Ok(Self { connection, path: path.into(), identity })
    }

    /// The range of ids, from the first to the last; empty for a file without messages.
    pub fn ids(&self) -> Result<Range<i64>, Error> {
        self.explain(search::ids(&self.connection))
    }

    /// The ranges of `ids` that hold the messages of a selection, in the order of ids. They contain no other messages
    /// except those of other devices.
    pub fn select(&self, selection: &Selection, ids: Range<i64>) -> Result<Vec<Range<i64>>, Error> {
        self.explain(search::select(&self.connection, selection, ids))
    }

    /// Reads some messages of `client`, or of all clients, from the start of `ids`, and moves that start behind them.
    /// An empty result does not mean the end: the end is reached when `ids` is empty.
    pub fn read(&self, ids: &mut Range<i64>, client: Option<&str>) -> Result<Vec<Message>, Error> {
        self.explain(read(&self.connection, ids, client))
    }

    /// A summary of the file.
    pub fn summary(&self) -> Result<Summary, Error> {
        self.explain(Summary::read(&self.connection))
    }

    /// Fails if the open file was replaced or removed: it would receive no more messages.
    pub fn check_in_place(&self) -> Result<(), Error> {
        match identity(&self.path) == self.identity {
            true => Ok(()),
            false => Err(Error::new(&self.path, Trouble::Replaced)),
        }
    }

    fn explain<T>(&self, result: rusqlite::Result<T>) -> Result<T, Error> {
        result.map_err(|err| Error::of(&self.path, &err))
    }
}

fn identity(path: &Path) -> Option<Identity> {
    look(path).ok().map(|(identity, _)| identity)
}

fn read(
    connection: &Connection,
    ids: &mut Range<i64>,
    client: Option<&str>,
) -> rusqlite::Result<Vec<Message>> {
    // Gaps in the ids cost no search.
    let Some(first) = search::first(connection, ids)? else {
        ids.start = ids.end;
        return Ok(Vec::new());
    };
    let end = first.id.saturating_add(ROWS).min(ids.end);
    let mut window = connection.prepare_cached(WINDOW)?;
    let mut rows = window.query((first.id, end, client))?;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let message = Message::read(row)?;
        let next = message.id.saturating_add(1);
        bytes += message.data.len();
        messages.push(message);
        if bytes >= BYTES {
            ids.start = next;
            return Ok(messages);
        }
    }
    ids.start = end;
    Ok(messages)
}

impl Message {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        // Another program can write text that is not UTF-8; it must not end the reading.
        let text = |column: usize| -> rusqlite::Result<String> {
            Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes()?).into_owned())
        };
        Ok(Self {
            id: row.get(0)?,
            received_at: row.get(1)?,
            client: text(2)?,
            peer: text(3)?,
            listener: text(4)?,
            mode: text(5)?,
            data: row.get(6)?,
        })
    }
}
