use super::encoder::{v2, with_values};
use super::*;

#[test]
fn addresses_of_ipv4_and_ipv6() {
    assert_eq!(header(with_values(&[])), proxied("192.0.2.7:51692", "198.51.100.1:5000"));
    let extreme = proxied("255.255.255.255:65535", "255.255.255.255:65535");
    assert_eq!(header(v2(0x21, 0x11, &[0xff; 12])), extreme);
    let (from, to) = ("2001:db8::7", "2001:db8::1");
    let octets = [from, to].map(|address| address.parse::<std::net::Ipv6Addr>().unwrap().octets()).concat();
    let block = [&octets[..], &[0, 1, 0xff, 0xff]].concat();
    assert_eq!(header(v2(0x21, 0x21, &block)), proxied("[2001:db8::7]:1", "[2001:db8::1]:65535"));
}

#[test]
fn nothing_behind_the_header_is_consumed() {
    let bytes = with_values(&[]);
    for behind in [&b"\x40\x00"[..], &v2::SIGNATURE, &[0; 5000]] {
        let expected = Parsed::Done(proxied("192.0.2.7:51692", "198.51.100.1:5000"), bytes.len());
        assert_eq!(parse([&bytes, behind].concat()), Ok(expected));
    }
}

#[test]
fn a_local_header_of_length_0_has_16_bytes() {
    let bytes = v2(0x20, 0, &[]);
    assert_eq!(bytes.len(), 16);
    assert_eq!(parse([&bytes[..], b"\x40\x00"].concat()), Ok(Parsed::Done(Header::default(), 16)));
}

#[test]
fn what_a_local_header_contains_has_no_meaning() {
    for family in [0, 0x11, 0x12, 0x44, 0xff] {
        for block in [&[][..], &[7; 5], &[0xff; 12]] {
            assert_eq!(header(v2(0x20, family, block)), Header::default(), "{family:02x} {block:?}");
        }
    }
}

#[test]
fn unix_sockets_and_unspecified_clients_have_no_addresses() {
    let proxied = Header { command: Command::Proxy, ..Header::default() };
    assert_eq!(header(v2(0x21, 0x31, &[b'/'; 216])), proxied);
    assert_eq!(header(v2(0x21, 0, &[])), proxied);
    let named = Header { authority: Some("a".into()), ..proxied };
    assert_eq!(header(v2(0x21, 0x31, &[&[b'/'; 216][..], &[2, 0, 1, b'a']].concat())), named);
    assert_eq!(header(v2(0x21, 0, &[2, 0, 1, b'a'])), named);
}

#[test]
fn a_mistake_is_found_at_its_first_byte() {
    let whole = with_values(&[]);
    for (at, byte, expected) in [
        (12, 0x11, "expected version 2 behind the signature, got 1"),
        (12, 0x01, "expected version 2 behind the signature, got 0"),
        (12, 0x22, "expected command 0 (LOCAL) or 1 (PROXY), got 2"),
        (13, 0x12, "expected a stream (11, 21 or 31), got datagrams (12)"),
        (13, 0x22, "expected a stream (11, 21 or 31), got datagrams (22)"),
        (13, 0x32, "expected a stream (11, 21 or 31), got datagrams (32)"),
        (13, 0x01, "expected family and transport 00, 11, 21 or 31, got 01"),
        (13, 0x10, "expected family and transport 00, 11, 21 or 31, got 10"),
        (13, 0x41, "expected family and transport 00, 11, 21 or 31, got 41"),
    ] {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        let told = mistake(&bytes[..=at]);
        assert!(told.starts_with("invalid PROXY header of version 2: ") && told.contains(expected), "{told}");
        assert_eq!(told, mistake(&bytes));
        assert!(matches!(parse(&whole[..at]), Ok(Parsed::Need(_))));
    }
}

#[test]
fn a_header_has_at_most_4096_bytes() {
    let mut bytes = v2(0x20, 0, &vec![0; 4080]);
    assert_eq!(parse(&bytes), Ok(Parsed::Done(Header::default(), 4096)));
    assert_eq!(parse(&bytes[..16]), Ok(Parsed::Need(4080)));
    bytes[15] += 1;
    assert!(mistake(&bytes[..16]).contains("expected at most 4096 bytes, got 4097 bytes"));
    assert!(mistake(v2(0x21, 0x11, &[0; 0xffff])).contains("got 65551 bytes"));
}

#[test]
fn a_block_that_is_shorter_than_its_addresses_is_rejected() {
    for (family, length) in [(0x11, 12), (0x21, 36), (0x31, 216)] {
        let told = mistake(v2(0x21, family, &vec![0; length - 1]));
        let expected = format!("expected at least {length} bytes of addresses, got {}", length - 1);
        assert!(told.contains(&expected), "{told}");
        header(v2(0x21, family, &vec![0; length]));
    }
}

#[test]
fn other_bytes_are_not_a_header() {
    for at in 1..v2::SIGNATURE.len() {
        let mut bytes = v2::SIGNATURE;
        bytes[at] ^= 1;
        assert_eq!(parse(&bytes[..=at]), Ok(Parsed::Not), "{at}");
        assert_eq!(parse(&bytes[..at]), Ok(Parsed::Need(16 - at)), "{at}");
    }
}
