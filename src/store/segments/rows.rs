//! The rows of one transaction.

use std::fmt::Write;

use rusqlite::Connection;
use rusqlite::types::Null;

use crate::protocol::Mode;
use crate::store::Entrusted;

/// Maximum apparent step back of the clock when batches overtake each other, in microseconds. A larger step means that
/// the clock was set.
const SLACK: i64 = 1_000_000;

/// A whole row.
pub(super) const INSERT: &str =
    "INSERT INTO message (id, received_at, client, peer, listener, mode, data) VALUES (?, ?, ?, ?, ?, ?, ?)";

const LAST: &str = "SELECT id, received_at FROM message ORDER BY id DESC LIMIT 1";

/// The last row so far: the next row has a higher id, and no earlier time unless the clock was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) id: i64,
    pub(super) received_at: i64,
}

impl Last {
    /// The last row before the segment that begins with `first_id`.
    pub(super) const fn before(first_id: i64) -> Self {
        Self { id: first_id.saturating_sub(1), received_at: i64::MIN }
    }

    /// The last row of a segment that begins with `first_id`.
    pub(super) fn read(connection: &Connection, first_id: i64) -> rusqlite::Result<Self> {
        let mut last = connection.prepare_cached(LAST)?;
        let mut rows = last.query([])?;
        match rows.next()? {
            Some(row) => Ok(Self { id: row.get(0)?, received_at: row.get(1)? }),
            None => Ok(Self::before(first_id)),
        }
    }

    /// The time for the next rows, and whether the clock was set back before it.
    const fn follow(&self, received_at: i64) -> (i64, bool) {
        if received_at >= self.received_at {
            (received_at, false)
        } else if self.received_at.saturating_sub(received_at) <= SLACK {
            (self.received_at, false)
        } else {
            (received_at, true)
        }
    }

    /// Inserts the rows of batches after the last one.
    pub(super) fn insert(&mut self, connection: &Connection, batches: &[Entrusted]) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(INSERT)?;
        let mut peer = String::new();
        // The first id is given, because the segment may be empty.
        let mut follows = false;
        insert.raw_bind_parameter(1, self.id + 1)?;
        for Entrusted { origin, received_at, batch, .. } in batches {
            let (received_at, steps_back) = self.follow(received_at.0);
            if steps_back {
                let mut step = connection.prepare_cached("INSERT OR IGNORE INTO clock_step VALUES (?)")?;
                step.execute([self.id + 1])?;
            }
            self.received_at = received_at;
            peer.clear();
            // Writing to a string does not fail.
            let _ = write!(peer, "{}", origin.peer);
            insert.raw_bind_parameter(2, received_at)?;
            insert.raw_bind_parameter(3, origin.client.as_str())?;
            insert.raw_bind_parameter(4, peer.as_str())?;
            insert.raw_bind_parameter(5, &*origin.listener)?;
            insert.raw_bind_parameter(6, mode(origin.mode))?;
            // Bound values stay bound: the rows of a batch differ only in their data.
            for data in batch.iter() {
                insert.raw_bind_parameter(7, data)?;
                insert.raw_execute()?;
                self.id += 1;
                if !follows {
                    // SQLite gives the next id itself, without a search for it.
                    insert.raw_bind_parameter(1, Null)?;
                    follows = true;
                }
            }
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
        assert_eq!(Last::before(8).follow(-1), (-1, false));
    }
}
