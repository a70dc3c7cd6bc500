//! Why the bytes of a device are not a frame.

use super::id::BadClientId;

/// The bytes of a device are not a frame. The device is at fault, and is answered `protocol_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}{}", .foreign.map_or("", Foreign::hint))]
pub struct Malformed {
    /// The rule that the bytes break.
    pub why: NotAFrame,
    /// Another protocol that begins like these bytes.
    pub foreign: Option<Foreign>,
}

impl Malformed {
    pub(super) fn new(why: NotAFrame, input: &[u8]) -> Self {
        Self { why, foreign: Foreign::recognize(input) }
    }
}

/// The rule of the protocol that some bytes break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAFrame {
    /// Modes 1 and 2 exist, and `0x00` as padding.
    #[error("first byte 0x{byte:02x} has mode {}, expected 1 or 2", byte >> 6)]
    Mode {
        /// The first byte.
        byte: u8,
    },
    /// A device must not send this type in this mode.
    #[error("first byte 0x{byte:02x} has type {}, which a device does not send in mode {}", byte & 0x3f, byte >> 6)]
    Type {
        /// The first byte.
        byte: u8,
    },
    /// The client or command id breaks the rules.
    #[error(transparent)]
    Id(#[from] BadClientId),
    /// The length of an AUTH exceeds that of any id.
    #[error("invalid id length {least} or more, expected 1 to 255 bytes")]
    IdTooLong {
        /// The least possible length: the first byte of the length may be enough for the error.
        least: usize,
    },
    /// The data exceeds `max_frame`.
    #[error("invalid data length {least} or more, the limit is {max} bytes")]
    DataTooLong {
        /// The least possible `data_len`: its first byte may be enough for the error.
        least: usize,
        /// The configured limit.
        max: usize,
    },
}

/// A protocol whose clients may connect to this port by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The first record of a TLS handshake.
    Tls,
    /// A request of HTTP.
    Http,
}

/// The beginnings of requests, HTTP/2's preface included.
const HTTP: [&[u8]; 10] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"PATCH ",
    b"DELETE ",
    b"OPTIONS ",
    b"TRACE ",
    b"CONNECT ",
    b"PRI ",
];

impl Foreign {
    fn recognize(input: &[u8]) -> Option<Self> {
        match input {
            [0x16, ..] => Some(Self::Tls),
            _ if HTTP.iter().any(|method| input.starts_with(method)) => Some(Self::Http),
            _ => None,
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::Tls => " (looks like TLS)",
            Self::Http => " (looks like HTTP)",
        }
    }
}
