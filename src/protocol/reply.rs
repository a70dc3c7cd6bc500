//! The words of the server's answers: ASCII, without a terminator; no word is the prefix of another.

use std::fmt;

/// An answer to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To PING.
    Pong,
    /// To CONNECT.
    ConnectOk,
    /// To CONNECT while the server drains.
    ConnectFailure,
    /// To AUTH: the id is known, and registered.
    AuthOk,
    /// To AUTH, or after the auth timeout; the server closes.
    AuthFailure,
    /// To SEND: the store has accepted the data.
    SendOk,
    /// To SEND: the store has not accepted the data.
    SendFailure,
    /// To PUBLISH: the frame is queued for the other client.
    PubOk,
    /// To PUBLISH: the frame is not queued.
    PubFailure,
    /// To anything that is not a valid frame; the server closes.
    ProtocolError,
}

impl Reply {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Pong,
        Self::ConnectOk,
        Self::ConnectFailure,
        Self::AuthOk,
        Self::AuthFailure,
        Self::SendOk,
        Self::SendFailure,
        Self::PubOk,
        Self::PubFailure,
        Self::ProtocolError,
    ];

    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pong => "pong",
            Self::ConnectOk => "connect_ok",
            Self::ConnectFailure => "connect_failure",
            Self::AuthOk => "auth_ok",
            Self::AuthFailure => "auth_failure",
            Self::SendOk => "send_ok",
            Self::SendFailure => "send_failure",
            Self::PubOk => "pub_ok",
            Self::PubFailure => "pub_failure",
            Self::ProtocolError => "protocol_error",
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_the_prefix_of_another_or_starts_like_a_frame() {
        for a in Reply::ALL {
            assert!(!a.word().starts_with(['\x4a', '\x4d']));
            for b in Reply::ALL {
                assert!(a == b || !b.word().starts_with(a.word()), "{a} {b}");
            }
        }
    }
}
