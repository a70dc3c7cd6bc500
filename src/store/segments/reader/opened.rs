//! The connection to the segment that is being read.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{Ids, Message, Selection, search};
use crate::database::{Error, Identity, identity_of};
use crate::store::segments::folder::Segment;
use crate::store::segments::segment;

/// At most one open segment. A connection to a segment that is not sealed keeps the server from sealing it, so that
/// connection is closed after each read while a server runs. Without a server it stays, because SQLite reads the whole
/// write-ahead log at the first connection to a file that no other process has open.
#[derive(Default)]
pub(super) struct Opened(Option<Open>);

struct Open {
    path: PathBuf,
    identity: Option<Identity>,
    connection: Connection,
}

impl Opened {
    /// Those of `ids` that a segment has, before `end`, and the ranges of them that are selected.
    pub(super) fn search(
        &mut self,
        segment: &Segment,
        ids: Ids,
        end: i64,
        selection: &Selection,
    ) -> Result<(Range<i64>, Vec<Range<i64>>), Error> {
        self.with(&segment.path, |connection| {
            let ends = search::ends(connection)?;
            let behind = ends.map_or(segment.first_id, |(_, last)| last.id.saturating_add(1));
            let found = ids.first..behind.min(end).min(ids.end.unwrap_or(i64::MAX));
            let ranges = search::select(connection, selection, found.clone())?;
            Ok((found, ranges))
        })
    }

    /// The start of the newest `missing` messages of a range, which is then zero.
    pub(super) fn count_back(
        &mut self,
        segment: &Segment,
        range: &Range<i64>,
        client: Option<&str>,
        missing: &mut u64,
    ) -> Result<i64, Error> {
        self.with(&segment.path, |connection| search::count_back(connection, range, client, missing))
    }

    /// Some messages from the start of a range, which then begins behind them.
    pub(super) fn read(
        &mut self,
        segment: &Segment,
        range: &mut Range<i64>,
        client: Option<&str>,
    ) -> Result<Vec<Message>, Error> {
        self.with(&segment.path, |connection| Message::read_some(connection, range, client))
    }

    /// Opens the segment at `path`, unless it is open. A file that was removed since is still read.
    fn with<T>(
        &mut self,
        path: &Path,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let identity = identity_of(path);
        let is_this = |open: &Open| open.path == path && (identity.is_none() || open.identity == identity);
        let open = self.0.take().filter(is_this);
        let open = match open {
            Some(open) => open,
            None => Open::new(path, identity)?,
        };
        work(&self.0.insert(open).connection).map_err(|err| segment::failed(path, &err))
    }

    /// Whether the segment that is open is sealed.
    pub(super) fn is_sealed(&self) -> bool {
        self.0.as_ref().is_some_and(|open| segment::is_sealed_in(&open.connection, &open.path) == Ok(true))
    }

    /// Closes the segment.
    pub(super) fn close(&mut self) {
        self.0 = None;
    }
}

impl Open {
    /// A replacement between the look at the identity and this is noticed at the next look.
    fn new(path: &Path, identity: Option<Identity>) -> Result<Self, Error> {
        let connection = segment::open_read_only(path)?;
        Ok(Self { path: path.into(), identity, connection })
    }
}
