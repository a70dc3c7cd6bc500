//! Binary frames as values, borrowed from the bytes they were read from.

use std::fmt;
use std::sync::Arc;

use super::MAX_ID;

/// The two high bits of a frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A long-lived connection.
    Session,
    /// A single SEND, answered, then the server closes.
    OneShot,
}

/// The six low bits of a frame's first byte, as far as they travel as frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Is the server there?
    Ping = 0,
    /// Will the server have me?
    Connect = 1,
    /// This is who I am.
    Auth = 4,
    /// Data for the uplink.
    Send = 7,
    /// Data for another client, or from one.
    Publish = 10,
    /// A command from the server.
    Cmd = 13,
    /// A command was carried out.
    CmdOk = 14,
    /// A command was not carried out.
    CmdFailure = 15,
}

impl Kind {
    /// The kind with this number, if it is one that travels as a frame.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Ping,
            1 => Self::Connect,
            4 => Self::Auth,
            7 => Self::Send,
            10 => Self::Publish,
            13 => Self::Cmd,
            14 => Self::CmdOk,
            15 => Self::CmdFailure,
            _ => return None,
        })
    }
}

/// One frame; ids have been checked, data is what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `40 reserved`
    Ping,
    /// `41 reserved`
    Connect,
    /// `44 len:16 client`
    Auth {
        /// Who the device says it is.
        client: &'a str,
    },
    /// `47` (or one-shot `87`) `data_len:16 id_len:8 client data`
    Send {
        /// Whether the connection ends with the answer.
        mode: Mode,
        /// Whose data this is.
        client: &'a str,
        /// For the uplink.
        data: &'a [u8],
    },
    /// `4a data_len:16 id_len:8 client data`
    Publish {
        /// From a device: for whom. From the server: of whom.
        client: &'a str,
        /// For the other device.
        data: &'a [u8],
    },
    /// `4d data_len:16 id_len:8 command data`
    Cmd {
        /// Names the command in its answer.
        command: &'a str,
        /// What is to be done.
        data: &'a [u8],
    },
    /// `4e data_len:16 id_len:8 command data`
    CmdOk {
        /// The command that is answered.
        command: &'a str,
        /// What came of it.
        data: &'a [u8],
    },
    /// `4f data_len:16 id_len:8 command data`
    CmdFailure {
        /// The command that is answered.
        command: &'a str,
        /// What went wrong.
        data: &'a [u8],
    },
}

impl Frame<'_> {
    /// The frame's type.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ping => Kind::Ping,
            Self::Connect => Kind::Connect,
            Self::Auth { .. } => Kind::Auth,
            Self::Send { .. } => Kind::Send,
            Self::Publish { .. } => Kind::Publish,
            Self::Cmd { .. } => Kind::Cmd,
            Self::CmdOk { .. } => Kind::CmdOk,
            Self::CmdFailure { .. } => Kind::CmdFailure,
        }
    }

    /// The client or command id; empty where there is none.
    pub const fn id(&self) -> &str {
        match self {
            Self::Ping | Self::Connect => "",
            Self::Auth { client } | Self::Send { client, .. } | Self::Publish { client, .. } => client,
            Self::Cmd { command, .. } | Self::CmdOk { command, .. } | Self::CmdFailure { command, .. } => {
                command
            }
        }
    }

    /// The data; empty where there is none.
    pub const fn data(&self) -> &[u8] {
        match self {
            Self::Ping | Self::Connect | Self::Auth { .. } => &[],
            Self::Send { data, .. }
            | Self::Publish { data, .. }
            | Self::Cmd { data, .. }
            | Self::CmdOk { data, .. }
            | Self::CmdFailure { data, .. } => data,
        }
    }
}

/// A device's name: 1 to 255 bytes of UTF-8 without control characters. A clone shares the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for ClientId {
    type Error = BadClientId;

    fn try_from(text: &str) -> Result<Self, BadClientId> {
        check_id(text.as_bytes()).map(|id| Self(id.into()))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Why some bytes are no client id. The same rules hold for command ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClientId {
    /// An id has at least one byte, and at most [`MAX_ID`].
    #[error("an id has 1 to 255 bytes, this one has {got}")]
    Length {
        /// How many bytes it has.
        got: usize,
    },
    /// An id is text.
    #[error("an id is UTF-8, this one is not at byte {at}")]
    NotUtf8 {
        /// The first byte that is not.
        at: usize,
    },
    /// An id can be printed on one line of a log.
    #[error("an id has no control characters, this one has {found:?}")]
    Control {
        /// The first of them.
        found: char,
    },
}

/// The text of an id, if it is one.
pub(super) fn check_id(bytes: &[u8]) -> Result<&str, BadClientId> {
    check_id_len(bytes.len())?;
    let text = std::str::from_utf8(bytes).map_err(|err| BadClientId::NotUtf8 { at: err.valid_up_to() })?;
    // Nearly all ids are ASCII, which is quicker to look through.
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(text);
    }
    match text.chars().find(|c| c.is_control()) {
        Some(found) => Err(BadClientId::Control { found }),
        None => Ok(text),
    }
}

/// The length is known before the id is read.
pub(super) const fn check_id_len(got: usize) -> Result<usize, BadClientId> {
    match got {
        1..=MAX_ID => Ok(got),
        _ => Err(BadClientId::Length { got }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_a_length_are_text_and_can_be_printed() {
        assert_eq!(check_id("größe 7".as_bytes()), Ok("größe 7"));
        assert_eq!(check_id(&[b'a'; 255]).map(str::len), Ok(255));
        assert_eq!(check_id(b""), Err(BadClientId::Length { got: 0 }));
        assert_eq!(check_id(&[b'a'; 256]), Err(BadClientId::Length { got: 256 }));
        assert_eq!(check_id(b"ab\xff"), Err(BadClientId::NotUtf8 { at: 2 }));
        assert_eq!(check_id(b"a\nb"), Err(BadClientId::Control { found: '\n' }));
        assert_eq!(check_id("a\u{85}".as_bytes()), Err(BadClientId::Control { found: '\u{85}' }));
    }
}
