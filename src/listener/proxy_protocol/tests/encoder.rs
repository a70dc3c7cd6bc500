//! Headers as load balancers write them.

use std::net::IpAddr;

use super::*;

/// A header of version 2 with this byte of version and command, this family, and these bytes behind the length.
pub(super) fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&v2::SIGNATURE[..], &[command, family], &length, block].concat()
}

/// The connection of a client at 192.0.2.7, with these values.
pub(super) fn with_values(values: &[Vec<u8>]) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0xc9, 0xec, 0x13, 0x88];
    v2(0x21, 0x11, &[&addresses[..], &values.concat()].concat())
}

pub(super) fn value(kind: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], bytes].concat()
}

/// Sets the checksum of a header whose last value it is.
pub(super) fn sign(header: Vec<u8>) -> Vec<u8> {
    sign_at(header.len(), header)
}

/// Sets the checksum in front of `end`.
pub(super) fn sign_at(end: usize, mut header: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&header).to_be_bytes();
    header[end - sum.len()..end].copy_from_slice(&sum);
    header
}

/// Bit by bit, as the specification of CRC32C has it.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum)))
}

#[test]
fn the_checksum_is_that_of_the_specification() {
    assert_eq!(checksum(b"123456789"), 0xe306_9283);
}

/// A line.
pub(super) fn line(header: &Header) -> Vec<u8> {
    let (Some(source), Some(destination)) = (header.source, header.destination) else {
        return b"PROXY UNKNOWN\r\n".into();
    };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into()
}

/// A header of version 2 with padding and a checksum.
pub(super) fn binary(header: &Header) -> Vec<u8> {
    if header.command == Command::Local {
        return v2(0x20, 0, &[]);
    }
    let (family, mut block) = addresses(header);
    block.extend(value(4, [0; 3]));
    let mut add = |kind, bytes: Option<&[u8]>| block.extend(bytes.into_iter().flat_map(|it| value(kind, it)));
    add(1, header.alpn.as_deref());
    add(2, header.authority.as_deref().map(str::as_bytes));
    add(5, header.unique_id.as_deref());
    add(0x20, header.ssl.as_ref().map(tls).as_deref());
    add(0x30, header.netns.as_deref().map(str::as_bytes));
    add(3, Some(&[0; 4]));
    sign(v2(0x21, family, &block))
}

fn addresses(header: &Header) -> (u8, Vec<u8>) {
    let ports = [header.source, header.destination]
        .map(|address| address.map(|address| address.port()).unwrap_or_default().to_be_bytes())
        .concat();
    match (header.source.map(|it| it.ip()), header.destination.map(|it| it.ip())) {
        (Some(IpAddr::V4(from)), Some(IpAddr::V4(to))) => {
            (0x11, [&from.octets()[..], &to.octets(), &ports].concat())
        }
        (Some(IpAddr::V6(from)), Some(IpAddr::V6(to))) => {
            (0x21, [&from.octets()[..], &to.octets(), &ports].concat())
        }
        _ => (0, Vec::new()),
    }
}

fn tls(ssl: &Ssl) -> Vec<u8> {
    let flags = [(ssl.is_tls, 1), (ssl.has_certificate, 2), (ssl.session_has_certificate, 4)];
    let flags = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum();
    let texts = [&ssl.version, &ssl.common_name, &ssl.cipher, &ssl.sig_alg, &ssl.key_alg];
    let texts = (0x21..).zip(texts).filter_map(|(kind, text)| Some(value(kind, text.as_ref()?.as_bytes())));
    let values: Vec<_> = texts.flatten().collect();
    [&[flags, 0, 0, 0, u8::from(!ssl.is_verified)], &*values].concat()
}
