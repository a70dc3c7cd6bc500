//! Positions in a segment, in which only the id is indexed: a time is found by bisection, the newest messages by
//! counting backwards.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Params};

use super::Selection;
use super::message::ROWS;
use crate::database::Timestamp;

/// A row without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: i64,
    pub(crate) received_at: Timestamp,
}

/// The first and the last row; `None` for a segment without messages.
pub(crate) fn ends(connection: &Connection) -> rusqlite::Result<Option<(Place, Place)>> {
    let all = i64::MIN..i64::MAX;
    Ok(first(connection, &all)?.zip(last(connection, &all)?))
}

/// The first row of `ids`.
pub(super) fn first(connection: &Connection, ids: &Range<i64>) -> rusqlite::Result<Option<Place>> {
    const FIRST: &str = "SELECT id, received_at FROM message WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1";
    place(connection, FIRST, (ids.start, ids.end))
}

/// The last row of `ids`.
fn last(connection: &Connection, ids: &Range<i64>) -> rusqlite::Result<Option<Place>> {
    const LAST: &str =
        "SELECT id, received_at FROM message WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1";
    place(connection, LAST, (ids.start, ids.end))
}

fn place(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<Option<Place>> {
    let mut row = connection.prepare_cached(sql)?;
    row.query_row(values, |row| Ok(Place { id: row.get(0)?, received_at: row.get(1)? })).optional()
}

/// The ranges of `ids` that hold the messages of the times of a selection, in the order of ids. They contain no other
/// messages.
pub(super) fn select(
    connection: &Connection,
    selection: &Selection,
    ids: Range<i64>,
) -> rusqlite::Result<Vec<Range<i64>>> {
    if ids.is_empty() || (selection.since.is_none() && selection.until.is_none()) {
        return Ok(Vec::from_iter(Some(ids).filter(|ids| !ids.is_empty())));
    }
    let mut found = Vec::new();
    for run in runs(connection, ids)? {
        let bound = |time: Option<Timestamp>, none| {
            time.map_or(Ok(none), |time| first_since(connection, run.clone(), time))
        };
        let ids = bound(selection.since, run.start)?..bound(selection.until, run.end)?;
        if !ids.is_empty() {
            found.push(ids);
        }
    }
    Ok(found)
}

/// The runs of `ids` in which times increase with the ids: a new run begins wherever the clock was set back.
fn runs(connection: &Connection, ids: Range<i64>) -> rusqlite::Result<Vec<Range<i64>>> {
    let mut steps = connection.prepare_cached(
        "SELECT first_id FROM clock_step WHERE first_id > ?1 AND first_id < ?2 ORDER BY first_id",
    )?;
    let mut start = ids.start;
    let mut runs = Vec::new();
    for step in steps.query_map([ids.start, ids.end], |row| row.get(0))? {
        let step = step?;
        runs.push(std::mem::replace(&mut start, step)..step);
    }
    runs.push(start..ids.end);
    Ok(runs)
}

/// The first id in a run that was received at `time` or later; the run's end if there is none.
fn first_since(connection: &Connection, run: Range<i64>, time: Timestamp) -> rusqlite::Result<i64> {
    // Most segments are older than the time that is looked for, and one look shows it.
    if last(connection, &run)?.is_none_or(|last| last.received_at < time) {
        return Ok(run.end);
    }
    let Range { start: mut low, end: mut high } = run;
    while low < high {
        let middle = low.saturating_add_unsigned(high.abs_diff(low) / 2);
        match first(connection, &(middle..high))? {
            Some(place) if place.received_at < time => low = place.id.saturating_add(1),
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// The start of the newest `missing` messages of `client` in `ids`, which is then zero; the start of `ids` if there are
/// fewer.
pub(super) fn count_back(
    connection: &Connection,
    ids: &Range<i64>,
    client: Option<&str>,
    missing: &mut u64,
) -> rusqlite::Result<i64> {
    let mut window = connection.prepare_cached(
        "SELECT count(*), min(id) FROM (SELECT id FROM message
         WHERE id >= ?1 AND id <= ?2 AND (?3 IS NULL OR client = ?3) ORDER BY id DESC LIMIT ?4)",
    )?;
    let mut end = ids.end;
    while let Some(Place { id: last, .. }) = last(connection, &(ids.start..end))? {
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
