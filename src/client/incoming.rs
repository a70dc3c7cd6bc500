//! What the server sends, as values that own their bytes.

use std::fmt;

use bytes::Bytes;

use crate::protocol::codec::NotAnAnswer;
use crate::protocol::{Answer, ClientId, Frame, Reply};

/// A word or an event, in the order of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The answer to a frame.
    Reply(Reply),
    /// A frame that the server started.
    Event(Event),
}

/// A frame that the server started; it may come between any two replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another device published to this one.
    Publish {
        /// The sender's id.
        from: ClientId,
        /// The data, at most 65 535 bytes.
        data: Bytes,
    },
    /// A command, to be answered by `command_ok` or `command_failure` with this id.
    Command {
        /// Names the command in its answer; 1 to 255 bytes.
        id: String,
        /// The content of the command, at most 65 535 bytes.
        data: Bytes,
    },
}

impl TryFrom<Answer<'_>> for Incoming {
    type Error = NotAnAnswer;

    fn try_from(answer: Answer<'_>) -> Result<Self, NotAnAnswer> {
        Ok(match answer {
            Answer::Reply(reply) => Self::Reply(reply),
            Answer::Frame(Frame::Publish { client, data }) => {
                Self::Event(Event::Publish { from: client.into(), data: Bytes::copy_from_slice(data) })
            }
            Answer::Frame(Frame::Cmd { command, data }) => {
                Self::Event(Event::Command { id: command.to_string(), data: Bytes::copy_from_slice(data) })
            }
            Answer::Frame(other) => return Err(NotAnAnswer { byte: 0x40 | other.kind() as u8 }),
        })
    }
}

impl fmt::Display for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) => reply.fmt(f),
            Self::Event(event) => event.fmt(f),
        }
    }
}

/// Names the event in one short line, without its data.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish { from, data } => write!(f, "publish from {from} ({} bytes)", data.len()),
            Self::Command { id, data } => write!(f, "command {id} ({} bytes)", data.len()),
        }
    }
}
