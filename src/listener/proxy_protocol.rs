//! The PROXY protocol, versions 1 and 2: the header in which a load balancer names the client of a connection. Pure: bytes
//! in, values out. Follows the specification of HAProxy, and is strict: what a sender must not write is rejected.
//!
//! | file | subject |
//! |---|---|
//! | `v1` | the line of text |
//! | `v2` | the binary header |
//! | `tlv` | the values behind the addresses of version 2, and their checksum |
//!
//! A caller reads at most [`Parsed::Need`] bytes and parses again, until the header is complete. So it never reads a byte
//! behind the header, and may also read more: the length of the header is in [`Parsed::Done`].

mod tlv;
mod v1;
mod v2;

use std::borrow::Cow;
use std::net::SocketAddr;

use crate::logging::escape;

/// Maximum bytes of a header of version 2. Real ones have a few hundred, with a certificate a few thousand.
pub const MAX_HEADER: usize = 4096;

/// Maximum bytes of an unexpected value in a [`Malformed`].
const SHOWN: usize = 64;

/// What a load balancer says about a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Whose connection it is.
    pub command: Command,
    /// The address of the client; `None` if it is unknown, a Unix socket, or the load balancer itself.
    pub source: Option<SocketAddr>,
    /// The address to which the client connected; there exactly if `source` is.
    pub destination: Option<SocketAddr>,
    /// The application protocol that the client chose in TLS.
    pub alpn: Option<Box<[u8]>>,
    /// The host name that the client named, in TLS its SNI.
    pub authority: Option<Box<str>>,
    /// The load balancer's id of the connection, at most 128 bytes.
    pub unique_id: Option<Box<[u8]>>,
    /// The client's TLS connection, which ends at the load balancer.
    pub ssl: Option<Ssl>,
    /// The network namespace of the addresses.
    pub netns: Option<Box<str>>,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Command {
    /// The load balancer's own, such as a health check. The addresses are those of the socket.
    #[default]
    Local,
    /// A client's.
    Proxy,
}

/// The client's TLS connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssl {
    /// Whether the client connected by TLS.
    pub is_tls: bool,
    /// Whether the client sent a certificate on this connection.
    pub has_certificate: bool,
    /// Whether the client sent a certificate in this TLS session, perhaps on an earlier connection.
    pub session_has_certificate: bool,
    /// Whether the client sent a certificate, and it is valid.
    pub is_verified: bool,
    /// The TLS version, such as `TLSv1.3`.
    pub version: Option<Box<str>>,
    /// The common name in the client's certificate. Trust it only if [`Ssl::is_verified`].
    pub common_name: Option<Box<str>>,
    /// The cipher.
    pub cipher: Option<Box<str>>,
    /// The signature algorithm of the load balancer's certificate.
    pub sig_alg: Option<Box<str>>,
    /// The key algorithm of the load balancer's certificate.
    pub key_alg: Option<Box<str>>,
}

/// The result of [`Header::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it is matched immediately, and kept nowhere")]
pub enum Parsed {
    /// The header goes on for at least this many bytes.
    Need(usize),
    /// The header, and its length. All bytes behind it belong to the client.
    Done(Header, usize),
    /// The bytes are not a PROXY header.
    Not,
}

impl Header {
    /// Parses the first bytes of a connection. However many bytes there are, the result is the same, or
    /// [`Parsed::Need`].
    pub fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
        if begins(bytes, v1::PREFIX) {
            v1::parse(bytes)
        } else if begins(bytes, &v2::SIGNATURE) {
            v2::parse(bytes)
        } else {
            Ok(Parsed::Not)
        }
    }
}

/// Whether `bytes` begins with `mark`, as far as they go.
fn begins(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.iter().zip(mark).all(|(byte, mark)| byte == mark)
}

/// A header that breaks the rules of its version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid PROXY header of version {version}: expected {expected}, got {got}; check the settings of the load balancer"
)]
pub struct Malformed {
    version: u8,
    expected: Cow<'static, str>,
    got: String,
}

impl Malformed {
    fn text(version: u8, expected: impl Into<Cow<'static, str>>, got: &[u8]) -> Self {
        Self::new(version, expected, format!("\"{}\"", escape(got, SHOWN)))
    }

    fn new(version: u8, expected: impl Into<Cow<'static, str>>, got: impl Into<String>) -> Self {
        Self { version, expected: expected.into(), got: got.into() }
    }
}

#[cfg(test)]
mod tests;
