//! A summary of a file, without reading all of it.

use std::fmt;

use bytesize::ByteSize;
use rusqlite::{Connection, OptionalExtension};

use super::{Timestamp, search};
use crate::database::SINGLE;

/// A summary of a file. Its display is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The number of ids from the first message to the last. With gaps in the ids, this is more than the number of
    /// messages.
    pub messages: u64,
    /// The time of the first message and of the last.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The size of the file in bytes, including its write-ahead log.
    pub bytes: u64,
    /// The version of its tables.
    pub version: i32,
}

impl Summary {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let ids = search::ids(connection)?;
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        Ok(Self {
            messages: ids.end.abs_diff(ids.start),
            times: Self::times(connection)?,
            bytes: pragma("page_size")? * pragma("page_count")?,
            version: SINGLE.version(),
        })
    }

    fn times(connection: &Connection) -> rusqlite::Result<Option<(Timestamp, Timestamp)>> {
        let time = |order| {
            let sql = format!("SELECT received_at FROM message ORDER BY id {order} LIMIT 1");
            connection.query_row(&sql, [], |row| row.get(0)).optional()
        };
        Ok(time("ASC")?.zip(time("DESC")?))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} of the tables, {}, messages: ", self.version, ByteSize(self.bytes))?;
        match self.times {
            Some((first, last)) => write!(f, "about {}, from {first} to {last}", self.messages),
            None => f.write_str("none"),
        }
    }
}
