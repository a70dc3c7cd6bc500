//! Reading messages back, from a file to which a server may be writing meanwhile.
//!
//! Each read is a short transaction of its own, and hands over what it has read when it has ended: a reader whose output is
//! slow does not keep the write-ahead log from being reset.

mod search;
mod summary;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use crate::database::{self, Error, Identity, Timestamp, Trouble, look};

pub use self::summary::Summary;

/// The most ids that one transaction looks at.
const ROWS: i64 = 10_000;

/// One transaction reads no more messages when their data has so many bytes.
const BYTES: usize = 1 << 20;

/// SQLite loads the data of no row whose client is another.
const WINDOW: &str = "SELECT id, received_at, client, peer, listener, mode, data FROM message
    WHERE id >= ?1 AND id < ?2 AND (?3 IS NULL OR client = ?3) ORDER BY id";

/// What a device sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number: later messages have greater ones.
    pub id: i64,
    /// When it came.
    pub received_at: Timestamp,
    /// The device.
    pub client: String,
    /// Its address and port.
    pub peer: String,
    /// The listener that took it.
    pub listener: String,
    /// `session` or `one-shot`.
    pub mode: String,
    /// What it sent.
    pub data: Vec<u8>,
}

/// Which messages are wanted; all, unless something is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those of this device.
    pub client: Option<String>,
    /// Those that came then or later.
    pub since: Option<Timestamp>,
    /// Those that came before.
    pub until: Option<Timestamp>,
    /// The newest, so many.
    pub limit: Option<u64>,
}

/// An open file that is only read.
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    identity: Option<Identity>,
}

impl Reader {
    /// Opens the file. It must be there, and of the present version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        // Before it is opened: what takes its place in between is noticed.
        let identity = identity(path);
        let connection = database::open_read_only(path)?;
        Ok(Self { connection, path: path.into(), identity })
    }

    /// The ids that there are, from the first to the last, in a file without messages none.
    pub fn ids(&self) -> Result<Range<i64>, Error> {
        self.explain(search::ids(&self.connection))
    }

    /// Where in `ids` the messages of a selection stand: ranges in the order of ids, in which no others are but those of
    /// other devices.
    pub fn select(&self, selection: &Selection, ids: Range<i64>) -> Result<Vec<Range<i64>>, Error> {
        self.explain(search::select(&self.connection, selection, ids))
    }

    /// Reads some messages of `client`, or of all, from the beginning of `ids`, which is moved behind what was read. None of
    /// them means little: the end is where `ids` is empty.
    pub fn read(&self, ids: &mut Range<i64>, client: Option<&str>) -> Result<Vec<Message>, Error> {
        self.explain(read(&self.connection, ids, client))
    }

    /// What there is.
    pub fn summary(&self) -> Result<Summary, Error> {
        self.explain(Summary::read(&self.connection))
    }

    /// Fails if another file, or none, has taken the place of the one that is open: nothing more will come to this one.
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
    // Wherever ids are missing, none of them is looked for.
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
        // Another program can write text that is no UTF-8, which must not end the reading.
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
