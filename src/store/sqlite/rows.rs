//! The rows of one transaction.

use rusqlite::Connection;

use crate::protocol::Mode;
use crate::store::Entrusted;

/// Maximum apparent step back of the clock when batches overtake each other, in microseconds. A larger step means that
/// the clock was set.
const SLACK: i64 = 1_000_000;

const INSERT: &str =
    "INSERT INTO message (id, received_at, client, peer, listener, mode, data) VALUES (?, ?, ?, ?, ?, ?, ?)";

/// The last row so far: the next row has a higher id, and no earlier time unless the clock was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) id: i64,
    received_at: i64,
}

impl Last {
    /// From the file; 0 if it is empty.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut last = connection.prepare_cached(
            "SELECT max(pruned.last_id, coalesce(message.id, 0)), coalesce(message.received_at, 0)
             FROM pruned LEFT JOIN (SELECT id, received_at FROM message ORDER BY id DESC LIMIT 1) AS message",
        )?;
        last.query_row([], |row| Ok(Self { id: row.get(0)?, received_at: row.get(1)? }))
    }

    /// The time for the next rows, and whether the clock was set back before it.
    const fn follow(&self, received_at: i64) -> (i64, bool) {
        if received_at >= self.received_at {
            (received_at, false)
        } else if self.received_at - received_at <= SLACK {
            (self.received_at, false)
        } else {
            (received_at, true)
        }
    }

    /// Inserts the rows of a batch after the last one.
    pub(super) fn insert(&mut self, connection: &Connection, entrusted: &Entrusted) -> rusqlite::Result<()> {
        let Entrusted { origin, received_at, batch, .. } = entrusted;
        let (received_at, steps_back) = self.follow(received_at.0);
        if steps_back {
            let mut step = connection.prepare_cached("INSERT OR IGNORE INTO clock_step VALUES (?)")?;
            step.execute([self.id + 1])?;
        }
        self.received_at = received_at;
        let mut insert = connection.prepare_cached(INSERT)?;
        insert.raw_bind_parameter(2, received_at)?;
        insert.raw_bind_parameter(3, origin.client.as_str())?;
        insert.raw_bind_parameter(4, origin.peer.to_string())?;
        insert.raw_bind_parameter(5, &*origin.listener)?;
        insert.raw_bind_parameter(6, mode(origin.mode))?;
        // Bound values stay bound: the rows of a batch differ only in id and data.
        for data in batch.iter() {
            self.id += 1;
            insert.raw_bind_parameter(1, self.id)?;
            insert.raw_bind_parameter(7, data)?;
            insert.raw_execute()?;
        }
        Ok(())
    }
}

/// The value in a row.
const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Session => "session",
        Mode::OneShot => "one-shot",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_ids_unless_the_clock_was_set_back() {
        let last = Last { id: 7, received_at: 5 * SLACK };
        assert_eq!(last.follow(6 * SLACK), (6 * SLACK, false));
        assert_eq!(last.follow(5 * SLACK), (5 * SLACK, false));
        assert_eq!(last.follow(4 * SLACK), (5 * SLACK, false));
        assert_eq!(last.follow(4 * SLACK - 1), (4 * SLACK - 1, true));
    }
}
