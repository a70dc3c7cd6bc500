//! Why a call failed, and which side is at fault.

use std::io;
use std::time::Duration;

use super::incoming::Incoming;
use crate::protocol::codec::{DataTooLong, NotAnAnswer};
use crate::protocol::{BadClientId, Reply};

/// What can go wrong between a device and its server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection failed. Words that arrived before can still be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server closed between two words or frames.
    #[error("the server closed the connection before {awaited}")]
    Closed {
        /// What the call waited for.
        awaited: &'static str,
    },
    /// The server closed in the middle of a word or frame.
    #[error("the server closed the connection {got} bytes into a word or frame")]
    Truncated {
        /// The number of received bytes of it.
        got: usize,
    },
    /// The call timed out. The connection is unchanged, and the answer may still arrive.
    #[error("timed out after {after:?} waiting for {awaited}")]
    Deadline {
        /// What the call waited for.
        awaited: &'static str,
        /// The deadline of the device.
        after: Duration,
    },
    /// The server answered with a failure.
    #[error("the server refused: {0}")]
    Refused(Reply),
    /// The server sent an unexpected word or frame.
    #[error("expected {expected}, the server sent {got}")]
    Unexpected {
        /// The expected answer.
        expected: &'static str,
        /// The received one.
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
    /// The caller sends under the id of its AUTH, but has not authenticated.
    #[error("not authenticated: expected a successful auth before, or an id with the data")]
    NotAuthenticated,
    /// The caller waits for words and leaves events unread, or the reverse.
    #[error("too many unread words or events: {kept} are kept while waiting for {awaited}, read them first")]
    Unread {
        /// The number of kept ones: [`Device::MAX_KEPT`](super::Device::MAX_KEPT).
        kept: usize,
        /// What the call waited for.
        awaited: &'static str,
    },
}
