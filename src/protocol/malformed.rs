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
    /// The type is none that a device may send in this mode.
    #[error("first byte 0x{byte:02x} has type {}, which a device does not send in mode {}", byte & 0x3f, byte >> 6)]
    Type {
        /// The first byte.
        byte: u8,
    },
    /// The client or command id breaks the rules.
    #[error(transparent)]
    Id(#[from] BadClientId),
    /// More data than this server takes in a frame.
    #[error("the frame announces {got} bytes of data, at most {max} are taken")]
    TooLong {
        /// What `data_len` says.
        got: usize,
        /// The configured limit.
        max: usize,
    },
}

/// A protocol whose clients may connect to this port by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The first record of a TLS handshake.
    Tls,
}

impl Foreign {
    fn recognize(input: &[u8]) -> Option<Self> {
        input.starts_with(&[0x16]).then_some(Self::Tls)
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::Tls => " (TLS begins so)",
        }
    }
}
