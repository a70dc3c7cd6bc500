//! Why a call failed, and whose fault it is.

use std::io;
use std::time::Duration;

use super::incoming::Incoming;
use crate::protocol::codec::{DataTooLong, NotAnAnswer};
use crate::protocol::{BadClientId, Reply};

/// What can go wrong between a device and its server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection failed. What the server said before can still be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server closed between two words or frames.
    #[error("the server closed the connection, {awaited} was awaited")]
    Closed {
        /// What the call waited for.
        awaited: &'static str,
    },
    /// The server closed in the middle of a word or frame.
    #[error("the server closed the connection {got} bytes into a word or frame")]
    Truncated {
        /// How many bytes of it came.
        got: usize,
    },
    /// The server took too long. The connection is as it was, and the answer may still come.
    #[error("waited {after:?} for {awaited}, in vain")]
    Deadline {
        /// What the call waited for.
        awaited: &'static str,
        /// The deadline of the device.
        after: Duration,
    },
    /// The server said no.
    #[error("the server refused: {0}")]
    Refused(Reply),
    /// The server sent something that does not belong here.
    #[error("expected {expected}, the server sent {got}")]
    Unexpected {
        /// What would have been right.
        expected: &'static str,
        /// What came.
        got: Incoming,
    },
    /// The server does not speak the trap protocol. Nothing more can be read.
    #[error(transparent)]
    NotAnAnswer(#[from] NotAnAnswer),
    /// The caller gave an id that breaks the rules. Nothing was sent.
    #[error(transparent)]
    BadId(#[from] BadClientId),
    /// The caller gave more data than a frame can carry. Nothing was sent.
    #[error(transparent)]
    DataTooLong(#[from] DataTooLong),
    /// The caller sends under the id of its AUTH, and there was none.
    #[error("no id to send under: expected a successful auth before, or an id with the data")]
    NotAuthenticated,
    /// The caller waits for one kind of thing and leaves the other unread.
    #[error("kept {kept} words or events that came while {awaited} was awaited, expected them to be read")]
    Unread {
        /// How many are kept: [`Device::MAX_KEPT`](super::Device::MAX_KEPT).
        kept: usize,
        /// What the call waited for.
        awaited: &'static str,
    },
}
