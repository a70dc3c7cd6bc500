//! Version 1: a line of text, such as `PROXY TCP4 192.0.2.7 198.51.100.1 51692 5000`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Command, Header, Malformed, Parsed};

/// The first bytes of a line.
pub(super) const PREFIX: &[u8] = b"PROXY ";

/// The shortest line.
const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();

/// Maximum bytes of a line, with its end.
const MAX_LINE: usize = 107;

const END: &[u8] = b"\r\n";

/// Parses bytes that begin as a line does.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
    // The end of the line needs two bytes.
    let candidates = bytes.get(..MAX_LINE - 1).unwrap_or(bytes);
    let Some(at) = candidates.iter().position(|byte| END.contains(byte)) else {
        return match candidates.len() < MAX_LINE - 1 {
            true => Ok(Parsed::Need(SHORTEST.saturating_sub(bytes.len()).max(END.len()))),
            false => Err(malformed(format!("a line of at most {MAX_LINE} bytes"), candidates)),
        };
    };
    let (line, end) = bytes.split_at_checked(at).unwrap_or_default();
    match end {
        [b'\r', b'\n', ..] => Ok(Parsed::Done(header(line)?, at + END.len())),
        [b'\r'] => Ok(Parsed::Need(1)),
        _ => Err(malformed("CR and LF at the end of the line", end.get(..END.len()).unwrap_or(end))),
    }
}

/// The header of a line without its end.
fn header(line: &[u8]) -> Result<Header, Malformed> {
    let words = line.get(PREFIX.len()..).unwrap_or_default();
    let mut words = words.split(|byte| *byte == b' ');
    let [source, destination] = match words.next() {
        // What follows has no meaning.
        Some(b"UNKNOWN") => return Ok(Header { command: Command::Proxy, ..Header::default() }),
        Some(b"TCP4") => addresses::<Ipv4Addr>(&mut words, "an IPv4 address")?,
        Some(b"TCP6") => addresses::<Ipv6Addr>(&mut words, "an IPv6 address")?,
        other => return Err(malformed("TCP4, TCP6 or UNKNOWN", other.unwrap_or_default())),
    };
    match words.next() {
        None => Ok(Header {
            command: Command::Proxy,
            source: Some(source),
            destination: Some(destination),
            ..Header::default()
        }),
        Some(more) => Err(malformed("the end of the line behind the ports", more)),
    }
}

/// Two addresses and two ports, each behind a single space.
fn addresses<'a, A: FromStr + Into<IpAddr>>(
    words: &mut impl Iterator<Item = &'a [u8]>,
    expected: &'static str,
) -> Result<[SocketAddr; 2], Malformed> {
    let mut address = || word(words, expected, |text| text.parse::<A>().ok());
    let (source, destination) = (address()?, address()?);
    let mut port = || word(words, "a port from 0 to 65535 without leading zeros", port);
    let (source_port, destination_port) = (port()?, port()?);
    Ok([(source.into(), source_port).into(), (destination.into(), destination_port).into()])
}

fn word<'a, T>(
    words: &mut impl Iterator<Item = &'a [u8]>,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, Malformed> {
    let word = words.next().unwrap_or_default();
    let value = std::str::from_utf8(word).ok().and_then(read);
    value.ok_or_else(|| malformed(expected, word))
}

/// `u16::from_str` would accept `+80` and `080`.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok()).flatten()
}

fn malformed(expected: impl Into<std::borrow::Cow<'static, str>>, got: &[u8]) -> Malformed {
    Malformed::text(1, expected, got)
}
