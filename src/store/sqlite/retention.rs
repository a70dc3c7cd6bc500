//! Retention: removes the oldest messages, in small steps.

use std::time::{Duration, Instant};

use log::debug;
use rusqlite::{Connection, TransactionBehavior};

/// Interval of checks for messages that are too old.
const EVERY: Duration = Duration::from_secs(1);

/// Bytes removed per step, unless more was written in between or the file is small.
const BYTES: usize = 1 << 20;

/// Approximate overhead of a row, in bytes.
const ROW: usize = 64;

/// Pages released to the file system per step.
const PAGES: u32 = 256;

/// Whether another step must follow now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Rest,
    GoOn,
}

pub(super) struct Retention {
    /// Microseconds.
    max_age: Option<i64>,
    /// Bytes.
    max_size: Option<u64>,
    /// Bytes removed per step.
    portion: usize,
    /// Bytes written since the last check.
    written: usize,
    looked: Option<Instant>,
}

/// The use of space in a file.
struct Size {
    page: u64,
    pages: u64,
    free: u64,
}

impl Retention {
    pub(super) fn new(max_age: Option<Duration>, max_size: Option<u64>) -> Self {
        let max_age = max_age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let portion = max_size
            .map_or(BYTES, |size| usize::try_from(slack(size) / 2).map_or(BYTES, |half| half.min(BYTES)));
        Self { max_age, max_size, portion, written: 0, looked: None }
    }

    /// Adds to the bytes that were written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
    }

    /// Removes some messages that exceed the size limit or, at `now` in microseconds since 1970, the age limit.
    pub(super) fn step(&mut self, connection: &mut Connection, now: i64) -> rusqlite::Result<Pace> {
        let is_due =
            self.written >= self.portion || self.looked.is_none_or(|looked| looked.elapsed() >= EVERY);
        if !is_due {
            return Ok(Pace::Rest);
        }
        // Each step removes at least twice the bytes that were written.
        let bytes = self.portion.max(2 * std::mem::take(&mut self.written));
        let mut removed = 0;
        if let Some(max_size) = self.max_size {
            let size = Size::of(connection)?;
            if size.used() > max_size - slack(max_size) {
                removed += remove(connection, bytes, i64::MAX)?;
            } else if size.pages * size.page > max_size && size.free > 0 {
                give_back(connection)?;
                return Ok(Pace::GoOn);
            }
        }
        if let Some(max_age) = self.max_age {
            removed += remove(connection, bytes, now.saturating_sub(max_age))?;
        }
        if removed > 0 {
            return Ok(Pace::GoOn);
        }
        self.looked = Some(Instant::now());
        Ok(Pace::Rest)
    }
}

/// The reserve of free space, in bytes: the file must stay within its limit while more is written before the next
/// removal.
fn slack(max_size: u64) -> u64 {
    (max_size / 8).min(16 << 20)
}

impl Size {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        Ok(Self { page: pragma("page_size")?, pages: pragma("page_count")?, free: pragma("freelist_count")? })
    }

    fn used(&self) -> u64 {
        (self.pages - self.free) * self.page
    }
}

/// Removes the oldest messages, limited to those from before `before` and to `bytes`. Returns their number.
fn remove(connection: &mut Connection, bytes: usize, before: i64) -> rusqlite::Result<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Some(last) = last_to_remove(&transaction, bytes, before)? else { return Ok(0) };
    let removed = transaction.prepare_cached("DELETE FROM message WHERE id <= ?")?.execute([last])?;
    transaction.prepare_cached("DELETE FROM clock_step WHERE first_id <= ?")?.execute([last])?;
    transaction.prepare_cached("UPDATE pruned SET last_id = ?")?.execute([last])?;
    transaction.commit()?;
    debug!(target: "trap_server::store", "removed messages={removed} last_id={last}");
    Ok(removed)
}

fn last_to_remove(connection: &Connection, bytes: usize, before: i64) -> rusqlite::Result<Option<i64>> {
    let most = bytes / ROW;
    let mut oldest =
        connection.prepare_cached("SELECT id, received_at, length(data) FROM message ORDER BY id LIMIT ?")?;
    let mut rows = oldest.query([most])?;
    let (mut last, mut sum) = (None, 0);
    while let Some(row) = rows.next()? {
        if sum >= bytes || row.get::<_, i64>(1)? >= before {
            break;
        }
        sum += ROW + row.get::<_, usize>(2)?;
        last = Some(row.get(0)?);
    }
    Ok(last)
}

/// Releases unused pages to the file system.
fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES})"))
}
