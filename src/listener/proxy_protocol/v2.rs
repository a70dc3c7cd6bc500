//! Version 2: a signature, version and command, family, length, addresses, and values.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Command, Header, MAX_HEADER, Malformed, Parsed, tlv};

/// The first bytes of a header.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes in front of the addresses: signature, version and command, family, length.
const FIXED: usize = SIGNATURE.len() + 4;

/// What the addresses are.
#[derive(Clone, Copy)]
enum Family {
    Unknown,
    V4,
    V6,
    Unix,
}

/// Parses bytes that begin as a header does.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
    // Each mistake is found at its first byte.
    let command = bytes.get(12).map(|byte| command(*byte)).transpose()?;
    let family = match (command, bytes.get(13)) {
        // A local connection has no addresses, and whatever stands there has no meaning.
        (Some(Command::Proxy), Some(byte)) => family(*byte)?,
        _ => Family::Unknown,
    };
    let (Some(command), Some(length)) = (command, length(bytes)) else {
        return Ok(Parsed::Need(FIXED.saturating_sub(bytes.len())));
    };
    let total = FIXED + length;
    if total > MAX_HEADER {
        return Err(malformed(format!("at most {MAX_HEADER} bytes"), format!("{total} bytes")));
    }
    let Some(header) = bytes.get(..total) else {
        return Ok(Parsed::Need(total - bytes.len()));
    };
    let header = match command {
        Command::Local => Header::default(),
        Command::Proxy => proxied(header, family)?,
    };
    Ok(Parsed::Done(header, total))
}

fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(14..FIXED)?;
    length.first_chunk().map(|length| u16::from_be_bytes(*length).into())
}

fn command(byte: u8) -> Result<Command, Malformed> {
    match (byte >> 4, byte & 0xf) {
        (2, 0) => Ok(Command::Local),
        (2, 1) => Ok(Command::Proxy),
        (2, command) => Err(malformed("command 0 (LOCAL) or 1 (PROXY)", command.to_string())),
        (version, _) => Err(malformed("version 2 behind the signature", version.to_string())),
    }
}

fn family(byte: u8) -> Result<Family, Malformed> {
    match byte {
        0x00 => Ok(Family::Unknown),
        0x11 => Ok(Family::V4),
        0x21 => Ok(Family::V6),
        0x31 => Ok(Family::Unix),
        0x12 | 0x22 | 0x32 => Err(malformed("a stream (11, 21 or 31)", format!("datagrams ({byte:02x})"))),
        _ => Err(malformed("family and transport 00, 11, 21 or 31", format!("{byte:02x}"))),
    }
}

/// The header of a client's connection. `bytes` is all of it.
fn proxied(bytes: &[u8], family: Family) -> Result<Header, Malformed> {
    let mut header = Header { command: Command::Proxy, ..Header::default() };
    let block = bytes.get(FIXED..).unwrap_or_default();
    let Some((addresses, values)) = block.split_at_checked(family.length()) else {
        let expected = format!("at least {} bytes of addresses", family.length());
        return Err(malformed(expected, block.len().to_string()));
    };
    if let Some((source, destination)) = family.addresses(addresses) {
        (header.source, header.destination) = (Some(source), Some(destination));
    }
    tlv::read(&mut header, values, bytes)?;
    Ok(header)
}

impl Family {
    /// The bytes of both addresses and ports.
    const fn length(self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::V4 => 2 * (4 + 2),
            Self::V6 => 2 * (16 + 2),
            Self::Unix => 2 * 108,
        }
    }

    /// Source and destination, if they are addresses of a network.
    fn addresses(self, bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
        match self {
            Self::Unknown | Self::Unix => None,
            Self::V4 => pair(bytes, |bytes: [u8; 4]| Ipv4Addr::from(bytes)),
            Self::V6 => pair(bytes, |bytes: [u8; 16]| Ipv6Addr::from(bytes)),
        }
    }
}

/// Two addresses of `N` bytes, and their ports.
fn pair<const N: usize, A>(bytes: &[u8], address: fn([u8; N]) -> A) -> Option<(SocketAddr, SocketAddr)>
where
    SocketAddr: From<(A, u16)>,
{
    let (source, rest) = bytes.split_first_chunk()?;
    let (destination, rest) = rest.split_first_chunk()?;
    let (source_port, rest) = rest.split_first_chunk()?;
    let destination_port = rest.first_chunk()?;
    let endpoint = |bytes: &[u8; N], port: &[u8; 2]| (address(*bytes), u16::from_be_bytes(*port)).into();
    Some((endpoint(source, source_port), endpoint(destination, destination_port)))
}

pub(super) fn malformed(expected: impl Into<Cow<'static, str>>, got: impl Into<String>) -> Malformed {
    Malformed::new(2, expected, got)
}
