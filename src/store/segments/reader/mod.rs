//! Reading messages back, from segments that a server may be writing, sealing and removing.
//!
//! Segments are opened one at a time, when their turn comes. Each read is a short transaction of its own. It returns
//! its rows after it has ended, and while a server runs it holds no connection to a segment that is not sealed, so a
//! reader with a slow output delays nothing.
//!
//! | file | subject |
//! |---|---|
//! | `source` | where segments are read from |
//! | `opened` | the connection to the segment that is being read |
//! | `message` | a message, and the next few of a segment |
//! | `search` | positions in a segment: a time, the newest messages |
//! | `part` | what a read brings: messages, or why there are none |
//! | `gaps` | messages that were missing, and come back |
//! | `summary` | a folder in a line |

mod gaps;
mod message;
mod opened;
mod part;
pub(crate) mod search;
mod source;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;

use self::gaps::Gaps;
use self::opened::Opened;
use super::folder::Segment;
use super::segment;
use crate::database::{Error, Timestamp, Trouble};

pub use self::message::Message;
pub use self::part::{Ids, Lost, Part};
pub use self::source::Source;
pub use self::summary::Summary;

/// The selection of messages; all by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only messages of this device.
    pub client: Option<String>,
    /// Only messages received at this time or later.
    pub since: Option<Timestamp>,
    /// Only messages received before this time.
    pub until: Option<Timestamp>,
    /// Only messages with a higher id.
    pub after: Option<i64>,
    /// Only the newest N of these messages.
    pub limit: Option<u64>,
}

/// Reads the messages of a selection, oldest first.
pub struct Reader {
    source: Source,
    selection: Selection,
    /// The next id to be read, or [`i64::MIN`] before anything is known.
    next: i64,
    /// The end of the ids that are read.
    end: i64,
    /// Whether a message with the id `next` was or will be there: if not, it is missing.
    is_expected: bool,
    /// The segments that are not read yet, oldest first.
    listed: VecDeque<Segment>,
    /// The first id of the segment whose turn was last.
    older: i64,
    current: Option<Current>,
    opened: Opened,
    gaps: Gaps,
    /// Messages that were missing, and are there now.
    returned: VecDeque<Ids>,
}

/// The segment that is being read.
struct Current {
    segment: Segment,
    /// Its ids that are not read yet; without a known end if it is the newest.
    ids: Ids,
    /// The parts of them that are selected; unknown until it is opened.
    selected: Option<VecDeque<Range<i64>>>,
}

impl Reader {
    /// Begins to read. With a limit, the newest segments are searched for its start.
    pub fn open(source: Source, selection: Selection) -> Result<Self, Error> {
        let listed = source.list()?.into();
        let after = selection.after;
        let mut reader = Self {
            source,
            selection,
            next: after.map_or(i64::MIN, |after| after.saturating_add(1)),
            end: i64::MAX,
            is_expected: after.is_some(),
            listed,
            older: i64::MIN,
            current: None,
            opened: Opened::default(),
            gaps: Gaps::default(),
            returned: VecDeque::new(),
        };
        if let Some(limit) = reader.selection.limit {
            reader.skip_to_newest(limit)?;
        }
        Ok(reader)
    }

    /// The next messages, or why they are not there; `None` when all that was there is read. After an error it can be
    /// tried again.
    pub fn read(&mut self) -> Result<Option<Part>, Error> {
        if let Some(ids) = self.returned.pop_front() {
            return Ok(Some(Part::Returned(ids)));
        }
        while self.current.is_some() || !self.listed.is_empty() {
            let part = match self.current.take() {
                None => self.advance().map(Part::Lost),
                Some(current) => self.read_from(current)?,
            };
            if part.is_some() {
                return Ok(part);
            }
        }
        Ok(None)
    }

    /// Looks for messages that have come since, for [`Reader::read`] to return. The limit does not count them.
    pub fn look_again(&mut self) -> Result<(), Error> {
        if self.current.is_none() {
            self.listed = self.source.list()?.into();
            self.end = i64::MAX;
            self.is_expected = self.next > i64::MIN;
            self.older = i64::MIN;
            let last_id = |segment: &Segment| segment::last_id(&segment.path, segment.first_id).ok();
            self.returned = self.gaps.filled(&self.listed, last_id).into();
        }
        Ok(())
    }

    /// Goes on to the next segment, unless it is read already. Returns the ids before it that no segment has.
    fn advance(&mut self) -> Option<Lost> {
        let segment = self.listed.pop_front()?;
        let older = std::mem::replace(&mut self.older, segment.first_id);
        let ids = Ids::of(&segment, self.listed.front(), self.next);
        if ids.first >= self.end || ids.is_empty() {
            return None;
        }
        let before = std::mem::replace(&mut self.next, ids.first)..ids.first;
        self.current = Some(Current { segment, ids, selected: None });
        if !self.is_expected || before.is_empty() {
            return None;
        }
        self.gaps.note(before.clone(), older);
        Some(Lost::Missing(Ids { first: before.start, end: Some(before.end) }))
    }

    /// Reads a little of a segment, which stays the current one until it is read.
    fn read_from(&mut self, mut current: Current) -> Result<Option<Part>, Error> {
        let read = match current.selected {
            None => self.select(&mut current),
            Some(_) => self.read_selected(&mut current),
        };
        self.release();
        match read {
            Ok(part) => {
                self.current = Some(current).filter(Current::has_more);
                Ok(part)
            }
            Err(error) if *error.trouble() == Trouble::Locked && !current.segment.is_gone() => {
                self.current = Some(current);
                Err(error)
            }
            Err(error) => {
                self.next = current.ids.end.unwrap_or(self.next);
                if let Ids { first, end: Some(end) } = current.ids
                    && current.segment.is_gone()
                {
                    self.gaps.note(first..end, current.segment.first_id.saturating_sub(1));
                }
                Ok(current.lost(error).map(Part::Lost))
            }
        }
    }

    /// Opens a segment, and finds what is selected.
    fn select(&mut self, current: &mut Current) -> Result<Option<Part>, Error> {
        let Current { segment, ids, selected } = current;
        let (found, ranges) = self.opened.search(segment, *ids, self.end, &self.selection)?;
        // A sealed segment says nothing of what comes after it.
        if self.is_expected && ids.end.is_none() && found.end < ids.first && !self.opened.is_sealed() {
            let behind = Lost::Behind { newest: found.end.saturating_sub(1), expected: ids.first };
            return Ok(Some(Part::Lost(behind)));
        }
        self.next = found.end.max(ids.first);
        self.is_expected |= !ranges.is_empty();
        *selected = Some(ranges.into());
        Ok(None)
    }

    fn read_selected(&mut self, current: &mut Current) -> Result<Option<Part>, Error> {
        let Current { segment, ids, selected } = current;
        let Some(range) = selected.iter_mut().find_map(VecDeque::front_mut) else { return Ok(None) };
        let messages = self.opened.read(segment, range, self.selection.client.as_deref())?;
        ids.first = range.start;
        if range.is_empty()
            && let Some(selected) = selected
        {
            selected.pop_front();
        }
        Ok(Some(messages).filter(|messages| !messages.is_empty()).map(Part::Messages))
    }

    /// Closes a segment that a server may want to seal.
    fn release(&mut self) {
        if !self.opened.is_sealed() && self.source.is_served() {
            self.opened.close();
        }
    }

    /// Begins with the newest `limit` messages, and ends with the newest one of now.
    fn skip_to_newest(&mut self, limit: u64) -> Result<(), Error> {
        let mut missing = limit;
        let listed = std::mem::take(&mut self.listed);
        let mut start = listed.back().map_or(self.next, |newest| newest.first_id);
        for (at, segment) in listed.iter().enumerate().rev() {
            let ids = Ids::of(segment, listed.get(at + 1), self.next);
            match self.count_back(segment, ids, &mut missing) {
                Ok(found) => start = found,
                Err(error) if *error.trouble() == Trouble::Locked => return Err(error),
                // It is named when its turn comes.
                Err(_) => {}
            }
            if missing == 0 {
                (self.next, self.is_expected) = (start, false);
                break;
            }
        }
        self.listed = listed;
        Ok(())
    }

    /// The start of the newest `missing` messages of a segment, which is then zero.
    fn count_back(&mut self, segment: &Segment, ids: Ids, missing: &mut u64) -> Result<i64, Error> {
        let (found, ranges) = self.opened.search(segment, ids, self.end, &self.selection)?;
        if ids.end.is_none() {
            self.end = found.end;
        }
        let mut start = found.end;
        for range in ranges.iter().rev() {
            if *missing == 0 {
                break;
            }
            start = self.opened.count_back(segment, range, self.selection.client.as_deref(), missing)?;
        }
        self.release();
        Ok(start)
    }
}

impl Current {
    fn has_more(&self) -> bool {
        self.selected.iter().any(|selected| !selected.is_empty())
    }

    /// What an error means for the rest of its messages.
    fn lost(self, error: Error) -> Option<Lost> {
        let Self { segment, ids, .. } = self;
        match error.trouble() {
            _ if segment.is_gone() => Some(Lost::Removed { segment: segment.path, ids }),
            // The newest segment has no tables before its first transaction.
            Trouble::Older { found: 0, .. } if ids.end.is_none() => None,
            _ => Some(Lost::Unreadable { error, ids }),
        }
    }
}
