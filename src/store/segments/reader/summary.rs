//! A summary of a folder of segments, from its oldest and its newest message.

use std::fmt;

use bytesize::ByteSize;

use super::search::{self, Place};
use crate::database::{Error, Timestamp, Trouble};
use crate::store::segments::folder::{Folder, Segment};
use crate::store::segments::segment::{SCHEMA, failed, open_read_only};

/// A summary of a folder. Its display is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The number of segments.
    pub segments: usize,
    /// The number of ids from the first message to the last. With gaps in the ids, this is more than the number of
    /// messages.
    pub messages: u64,
    /// The time of the first message and of the last.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The size of all segments in bytes, including their write-ahead logs.
    pub bytes: u64,
}

impl Summary {
    /// Summarises a folder. Fails if its oldest or its newest segment cannot be read.
    pub fn of(folder: &Folder) -> Result<Self, Error> {
        let listed = folder.list()?;
        let first = first_of(listed.iter(), |(first, _)| first)?;
        let last = first_of(listed.iter().rev(), |(_, last)| last)?;
        let ends = first.zip(last);
        Ok(Self {
            segments: listed.len(),
            messages: ends.map_or(0, |(first, last)| last.id.abs_diff(first.id).saturating_add(1)),
            times: ends.map(|(first, last)| (first.received_at, last.received_at)),
            bytes: listed.iter().map(|segment| segment.size).sum(),
        })
    }
}

/// An end of the first segment that has messages.
fn first_of<'a>(
    segments: impl Iterator<Item = &'a Segment>,
    end: fn((Place, Place)) -> Place,
) -> Result<Option<Place>, Error> {
    for segment in segments {
        if let Some(ends) = ends(segment)? {
            return Ok(Some(end(ends)));
        }
    }
    Ok(None)
}

fn ends(segment: &Segment) -> Result<Option<(Place, Place)>, Error> {
    let path = &segment.path;
    let read = open_read_only(path)
        .and_then(|connection| search::ends(&connection).map_err(|err| failed(path, &err)));
    match read {
        // It has no tables before its first transaction, or retention has removed it.
        Err(error) if matches!(error.trouble(), Trouble::Older { found: 0, .. }) || segment.is_gone() => {
            Ok(None)
        }
        read => read,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = if self.segments == 1 { "segment" } else { "segments" };
        write!(f, "version {} of the tables, {} {segments}, ", SCHEMA.version(), self.segments)?;
        write!(f, "{}, messages: ", ByteSize(self.bytes))?;
        match self.times {
            Some((first, last)) => write!(f, "about {}, from {first} to {last}", self.messages),
            None => f.write_str("none"),
        }
    }
}
