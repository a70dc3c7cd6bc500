//! The crate `ppp` as an oracle. Both accept the same headers, but for the differences that stand here.

use ppp::{HeaderResult, v1, v2 as ppp_v2};
use proptest::prelude::*;

use super::encoder::{sign, v2, value, with_values};
use super::properties::inputs;
use super::*;

/// The result of `ppp`: source, destination and length of a header.
type Found = Option<(Option<SocketAddr>, Option<SocketAddr>, usize)>;

fn theirs(bytes: &[u8]) -> Found {
    let both = |from: SocketAddr, to: SocketAddr| (Some(from), Some(to));
    match HeaderResult::parse(bytes) {
        HeaderResult::V1(Ok(header)) => {
            let (source, destination) = match header.addresses {
                v1::Addresses::Tcp4(ip) => both(
                    (ip.source_address, ip.source_port).into(),
                    (ip.destination_address, ip.destination_port).into(),
                ),
                v1::Addresses::Tcp6(ip) => both(
                    (ip.source_address, ip.source_port).into(),
                    (ip.destination_address, ip.destination_port).into(),
                ),
                v1::Addresses::Unknown => (None, None),
            };
            Some((source, destination, header.header.len()))
        }
        HeaderResult::V2(Ok(header)) => {
            let (source, destination) = match header.addresses {
                _ if header.command == ppp_v2::Command::Local => (None, None),
                ppp_v2::Addresses::IPv4(ip) => both(
                    (ip.source_address, ip.source_port).into(),
                    (ip.destination_address, ip.destination_port).into(),
                ),
                ppp_v2::Addresses::IPv6(ip) => both(
                    (ip.source_address, ip.source_port).into(),
                    (ip.destination_address, ip.destination_port).into(),
                ),
                ppp_v2::Addresses::Unspecified | ppp_v2::Addresses::Unix(_) => (None, None),
            };
            Some((source, destination, header.header.len()))
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => None,
    }
}

fn ours(bytes: &[u8]) -> Found {
    match parse(bytes) {
        Ok(Parsed::Done(header, length)) => Some((header.source, header.destination, length)),
        Ok(Parsed::Need(_) | Parsed::Not) | Err(_) => None,
    }
}

/// The specification forbids them, or leaves no doubt that they are broken.
#[test]
fn what_ppp_accepts_and_this_rejects() {
    let (text, good) = (|rest: &str| format!("PROXY {rest}\r\n").into_bytes(), value(2, "a"));
    let unsigned = with_values(&[value(3, [0; 4])]);
    for (why, bytes) in [
        ("a sign in front of a port", text("TCP4 1.1.1.1 2.2.2.2 +80 80")),
        ("a bare LF in a line", text("UNKNOWN a\nb")),
        ("a wrong checksum", unsigned.clone()),
        ("a checksum of 3 bytes", with_values(&[value(3, [0; 3])])),
        ("a value that is cut", with_values(&[good.clone(), vec![2, 0, 9, b'a']])),
        ("a value without a length", with_values(&[good.clone(), vec![1]])),
        ("a value in TLS that is cut", with_values(&[value(0x20, [1, 0, 0, 0, 0, 0x21, 0, 9])])),
        ("TLS without a result", with_values(&[value(0x20, [1])])),
        ("a unique id of 129 bytes", with_values(&[value(5, [0; 129])])),
        ("a name that is not UTF-8", with_values(&[value(2, [0xff])])),
        ("two names", with_values(&[good.clone(), good.clone()])),
        ("datagrams", v2(0x21, 0x12, &[0; 12])),
        ("a family without a transport", v2(0x21, 0x10, &[0; 12])),
        ("a transport without a family", v2(0x21, 0x01, &[])),
        ("more than 4096 bytes", v2(0x21, 0, &[4, 0x10, 0].into_iter().chain([0; 4096]).collect::<Vec<_>>())),
    ] {
        assert!(theirs(&bytes).is_some() && parse(&bytes).is_err(), "{why}: {:?}", parse(&bytes));
    }
    assert!(parse(sign(unsigned)).is_ok());
}

/// The specification tells a receiver to ignore what `ppp` looks at.
#[test]
fn what_ppp_rejects_and_this_accepts() {
    for (why, bytes) in [
        ("words behind UNKNOWN", b"PROXY UNKNOWN 1 2 3 4 5 6\r\n".to_vec()),
        ("bytes behind UNKNOWN", b"PROXY UNKNOWN \xff\r\n".to_vec()),
        ("the family of a local connection", v2(0x20, 0x44, &[])),
        ("the transport of a local connection", v2(0x20, 0x03, &[])),
        ("the missing addresses of a local connection", v2(0x20, 0x11, &[])),
    ] {
        assert!(theirs(&bytes).is_none() && ours(&bytes).is_some(), "{why}");
    }
}

/// Whether the difference is one of those above.
fn is_known(bytes: &[u8], ours: &Result<Parsed, Malformed>) -> bool {
    match ours {
        Ok(Parsed::Done(..)) => bytes.starts_with(b"PROXY UNKNOWN ") || bytes.get(12) == Some(&0x20),
        Err(Malformed { version: 1, expected, got }) => {
            (expected.starts_with("a port") && got.starts_with("\"+"))
                || (expected.starts_with("CR and LF") && got.starts_with("\"\\x0a"))
        }
        Err(Malformed { expected, .. }) => {
            !["version", "command", "at least"].iter().any(|begin| expected.starts_with(begin))
        }
        Ok(Parsed::Need(_) | Parsed::Not) => false,
    }
}

proptest! {
    #[test]
    fn there_is_no_other_difference(bytes in inputs()) {
        let result = parse(&bytes);
        if ours(&bytes) != theirs(&bytes) {
            prop_assert!(is_known(&bytes, &result), "{:?} {:?}", result, theirs(&bytes));
        }
    }
}
