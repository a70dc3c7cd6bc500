//! The search for messages. The id is the only index: a time is found by bisection, the newest messages by counting
//! backwards.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension};

use super::{ROWS, Selection, Timestamp};

/// A row without its data.
pub(super) struct Place {
    pub(super) id: i64,
    received_at: Timestamp,
}

/// The range from the first id to the last.
pub(super) fn ids(connection: &Connection) -> rusqlite::Result<Range<i64>> {
    let end = |sql| connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, Option<i64>>(0));
    let first = end("SELECT min(id) FROM message")?;
    let last = end("SELECT max(id) FROM message")?;
    Ok(first.unwrap_or_default()..last.map_or(0, |last| last.saturating_add(1)))
}

/// The first row of `ids`.
pub(super) fn first(connection: &Connection, ids: &Range<i64>) -> rusqlite::Result<Option<Place>> {
    let mut first = connection.prepare_cached(
        "SELECT id, received_at FROM message WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1",
    )?;
    let place = |row: &rusqlite::Row<'_>| Ok(Place { id: row.get(0)?, received_at: row.get(1)? });
    first.query_row([ids.start, ids.end], place).optional()
}

/// The ranges of `ids` that hold the messages of a selection.
pub(super) fn select(
    connection: &Connection,
    selection: &Selection,
    ids: Range<i64>,
) -> rusqlite::Result<Vec<Range<i64>>> {
    let mut found = Vec::new();
    for segment in segments(connection, ids)? {
        let bound = |time: Option<Timestamp>, none| {
            time.map_or(Ok(none), |time| first_since(connection, segment.clone(), time))
        };
        let ids = bound(selection.since, segment.start)?..bound(selection.until, segment.end)?;
        if !ids.is_empty() {
            found.push(ids);
        }
    }
    match selection.limit {
        Some(limit) => newest(connection, found, selection.client.as_deref(), limit),
        None => Ok(found),
    }
}

/// The segments of `ids` in which times increase with the ids: a new segment begins wherever the clock was set back.
fn segments(connection: &Connection, ids: Range<i64>) -> rusqlite::Result<Vec<Range<i64>>> {
    let mut steps = connection.prepare_cached(
        "SELECT first_id FROM clock_step WHERE first_id > ?1 AND first_id < ?2 ORDER BY first_id",
    )?;
    let mut start = ids.start;
    let mut segments = Vec::new();
    for step in steps.query_map([ids.start, ids.end], |row| row.get(0))? {
        let step = step?;
        segments.push(std::mem::replace(&mut start, step)..step);
    }
    segments.push(start..ids.end);
    Ok(segments)
}

/// The first id in a segment that was received at `time` or later; the segment's end if there is none.
fn first_since(connection: &Connection, segment: Range<i64>, time: Timestamp) -> rusqlite::Result<i64> {
    let Range { start: mut low, end: mut high } = segment;
    while low < high {
        let middle = low.saturating_add_unsigned(high.abs_diff(low) / 2);
        match first(connection, &(middle..high))? {
            Some(place) if place.received_at < time => low = place.id.saturating_add(1),
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// The part of these ranges that holds the newest `limit` messages of `client`.
fn newest(
    connection: &Connection,
    ranges: Vec<Range<i64>>,
    client: Option<&str>,
    limit: u64,
) -> rusqlite::Result<Vec<Range<i64>>> {
    let (mut missing, mut found) = (limit, Vec::new());
    for ids in ranges.into_iter().rev() {
        if missing == 0 {
            break;
        }
        let start = count_back(connection, &ids, client, &mut missing)?;
        found.push(start..ids.end);
    }
    found.reverse();
    Ok(found)
}

/// The start of the newest `missing` messages of `client` in `ids`; the start of `ids` if there are fewer.
fn count_back(
    connection: &Connection,
    ids: &Range<i64>,
    client: Option<&str>,
    missing: &mut u64,
) -> rusqlite::Result<i64> {
    let mut last = connection.prepare_cached("SELECT max(id) FROM message WHERE id >= ?1 AND id < ?2")?;
    let mut window = connection.prepare_cached(
        "SELECT count(*), min(id) FROM (SELECT id FROM message
         WHERE id >= ?1 AND id <= ?2 AND (?3 IS NULL OR client = ?3) ORDER BY id DESC LIMIT ?4)",
    )?;
    let mut end = ids.end;
    while let Some(last) = last.query_row([ids.start, end], |row| row.get::<_, Option<i64>>(0))? {
        let from = last.saturating_sub(ROWS - 1).max(ids.start);
        let most = i64::try_from(*missing).unwrap_or(i64::MAX);
        let counted = window.query_row((from, last, client, most), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (count, first): (u64, Option<i64>) = counted;
        *missing = missing.saturating_sub(count);
        if *missing == 0 {
            return Ok(first.unwrap_or(from));
        }
        end = from;
    }
    Ok(ids.start)
}
