//! The result of a read: messages, or why there are none.

use std::fmt;
use std::path::PathBuf;

use super::Message;
use crate::database::Error;
use crate::store::segments::folder::Segment;

/// The result of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The next messages.
    Messages(Vec<Message>),
    /// The next messages are not there, or cannot be read. The read after this one continues behind them.
    Lost(Lost),
    /// Messages that were missing when their turn came are there now. They are not read again.
    Returned(Ids),
}

/// Why messages are not read. Its display is for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A segment was removed after it had been listed.
    Removed {
        /// The segment.
        segment: PathBuf,
        /// Its messages.
        ids: Ids,
    },
    /// No segment has these ids.
    Missing(Ids),
    /// A segment is damaged, or not accessible.
    Unreadable {
        /// The error of the file.
        error: Error,
        /// Its messages.
        ids: Ids,
    },
    /// The newest message is older than one that was read before: these are other messages.
    Behind {
        /// The newest message that is there.
        newest: i64,
        /// The id that should come next.
        expected: i64,
    },
}

/// Ids without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The first one; [`i64::MIN`] if it is not known.
    pub first: i64,
    /// The first id behind them, if it is known.
    pub end: Option<i64>,
}

impl Lost {
    /// Whether a person has to act. The removal of old messages is usual.
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::Behind { .. })
    }

    /// Whether no later messages can be read.
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Behind { .. } | Self::Unreadable { ids: Ids { end: None, .. }, .. })
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed { segment, ids } => {
                write!(f, "segment {} was removed meanwhile: {ids} are not shown", segment.display())
            }
            Self::Missing(ids) => write!(f, "{ids} are missing: their segment was removed"),
            Self::Unreadable { error, ids } => write!(f, "{ids} cannot be read: {error}"),
            Self::Behind { newest, expected } => write!(
                f,
                "the next message should be {expected}, but the newest one is {newest}: the messages were replaced; \
                 start again without `--after`"
            ),
        }
    }
}

impl Ids {
    /// The ids of a segment from `next` on; its end is the first id of the `newer` segment.
    pub(super) fn of(segment: &Segment, newer: Option<&Segment>, next: i64) -> Self {
        Self { first: segment.first_id.max(next), end: newer.map(|newer| newer.first_id) }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.end.is_some_and(|end| end <= self.first)
    }
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.end) {
            (i64::MIN, _) => f.write_str("its messages"),
            (first, None) => write!(f, "messages from {first} on"),
            (first, Some(end)) => write!(f, "messages {first} to {}", end.saturating_sub(1)),
        }
    }
}
