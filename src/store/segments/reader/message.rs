//! A message, and the next few of them in a segment.

use std::ops::Range;

use rusqlite::{Connection, Row};

use super::search;
use crate::database::Timestamp;

/// Maximum ids per transaction.
pub(super) const ROWS: i64 = 10_000;

/// A transaction stops reading messages when their data reaches this size, in bytes.
pub(super) const BYTES: usize = 1 << 20;

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

impl Message {
    /// Reads some messages of `client`, or of all clients, from the start of `ids`, and moves that start behind them.
    /// An empty result does not mean the end: the end is reached when `ids` is empty.
    pub(super) fn read_some(
        connection: &Connection,
        ids: &mut Range<i64>,
        client: Option<&str>,
    ) -> rusqlite::Result<Vec<Self>> {
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
            let message = Self::read(row)?;
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
