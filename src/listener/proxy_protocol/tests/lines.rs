use super::*;

#[test]
fn tcp4_and_tcp6_have_both_addresses() {
    assert_eq!(
        header("PROXY TCP4 192.0.2.7 198.51.100.1 51692 5000\r\n"),
        proxied("192.0.2.7:51692", "198.51.100.1:5000")
    );
    assert_eq!(
        header("PROXY TCP6 2001:db8::7 ::ffff:1.2.3.4 0 65535\r\n"),
        proxied("[2001:db8::7]:0", "[::ffff:1.2.3.4]:65535")
    );
    let extreme = "255.255.255.255:65535";
    assert_eq!(
        header("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
        proxied(extreme, extreme)
    );
}

#[test]
fn unknown_has_no_addresses_whatever_follows_it() {
    let unknown = Header { command: Command::Proxy, ..Header::default() };
    for rest in ["", " ", " ffff::1 ffff::2 65535 65535", " 1 2 3 4 5 6 7 8", " \u{fffd}\0\t"] {
        assert_eq!(header(format!("PROXY UNKNOWN{rest}\r\n")), unknown, "{rest:?}");
    }
    assert_eq!(header(b"PROXY UNKNOWN \xff\xfe\r\n"), unknown);
}

#[test]
fn nothing_behind_the_line_is_consumed() {
    let line = "PROXY TCP4 192.0.2.7 198.51.100.1 51692 5000\r\n";
    for behind in [&b"\x40\x00"[..], b"\r\n", b"PROXY UNKNOWN\r\n", &[0; 5000]] {
        let expected = Parsed::Done(proxied("192.0.2.7:51692", "198.51.100.1:5000"), line.len());
        assert_eq!(parse([line.as_bytes(), behind].concat()), Ok(expected));
    }
}

#[test]
fn a_line_has_at_most_107_bytes_with_its_end() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
    assert_eq!(longest.len(), 107);
    header(&longest);
    let too_long = longest.replace('\r', "x\r");
    assert!(mistake(&too_long).contains("expected a line of at most 107 bytes"));
    // No end in sight, and no need to wait for one.
    assert!(mistake(&too_long[..106]).contains("expected a line of at most 107 bytes"));
    assert_eq!(parse(&too_long[..105]), Ok(Parsed::Need(2)));
    let shown = mistake(format!("PROXY {}", "x".repeat(5000)));
    assert!(shown.contains("…(+42 bytes)"), "{shown}");
}

#[test]
fn other_bytes_are_not_a_header() {
    for bytes in [&b"\x40\x00"[..], b"GET / HTTP/1.1\r\n", b"proxy ", b"PROXYX", b"PROXY\r\n", b"PRX"] {
        assert_eq!(parse(bytes), Ok(Parsed::Not), "{bytes:?}");
    }
    for (bytes, need) in [("", 15), ("P", 14), ("PROXY", 10), ("PROXY UNKNOWN\r", 1), ("PROXY UNKNOWN", 2)] {
        assert_eq!(parse(bytes), Ok(Parsed::Need(need)), "{bytes:?}");
    }
}

#[test]
fn a_wrong_word_is_reported_with_what_was_expected() {
    const PORT: &str = "a port from 0 to 65535 without leading zeros";
    for (rest, expected, got) in [
        ("DUMMY", "TCP4, TCP6 or UNKNOWN", "DUMMY"),
        ("", "TCP4, TCP6 or UNKNOWN", ""),
        ("UNKNOWNS", "TCP4, TCP6 or UNKNOWN", "UNKNOWNS"),
        ("tcp4 1.1.1.1 2.2.2.2 1 2", "TCP4, TCP6 or UNKNOWN", "tcp4"),
        ("TCP4 ::1 2.2.2.2 1 2", "an IPv4 address", "::1"),
        ("TCP4 1.1.1.1 ::1 1 2", "an IPv4 address", "::1"),
        ("TCP6 ::1 2.2.2.2 1 2", "an IPv6 address", "2.2.2.2"),
        ("TCP6 fe80::1%eth0 ::1 1 2", "an IPv6 address", "fe80::1%eth0"),
        ("TCP4 01.1.1.1 2.2.2.2 1 2", "an IPv4 address", "01.1.1.1"),
        ("TCP4 1.1.1 2.2.2.2 1 2", "an IPv4 address", "1.1.1"),
        ("TCP4  1.1.1.1 2.2.2.2 1 2", "an IPv4 address", ""),
        ("TCP4\t1.1.1.1 2.2.2.2 1 2", "TCP4, TCP6 or UNKNOWN", "TCP4\\x091.1.1.1"),
        ("TCP4 1.1.1.1 2.2.2.2 99999 2", PORT, "99999"),
        ("TCP4 1.1.1.1 2.2.2.2 1 65536", PORT, "65536"),
        ("TCP4 1.1.1.1 2.2.2.2 +80 2", PORT, "+80"),
        ("TCP4 1.1.1.1 2.2.2.2 -1 2", PORT, "-1"),
        ("TCP4 1.1.1.1 2.2.2.2 080 2", PORT, "080"),
        ("TCP4 1.1.1.1 2.2.2.2 00 2", PORT, "00"),
        ("TCP4 1.1.1.1 2.2.2.2 1 ", PORT, ""),
        ("TCP4 1.1.1.1 2.2.2.2 1", PORT, ""),
        ("TCP4 1.1.1.1 2.2.2.2 1 2 ", "the end of the line behind the ports", ""),
        ("TCP4 1.1.1.1 2.2.2.2 1 2 3", "the end of the line behind the ports", "3"),
    ] {
        let told = mistake(format!("PROXY {rest}\r\n"));
        let begin = format!("invalid PROXY header of version 1: expected {expected}, got \"{got}\"");
        assert!(told.starts_with(&begin), "{rest:?}: {told}");
    }
}

#[test]
fn a_line_ends_with_cr_and_lf() {
    for (line, got) in [
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\nhello", "\\x0ah"),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", "\\x0a"),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rhello", "\\x0dh"),
        ("PROXY UNKNOWN a\nb\r\n", "\\x0ab"),
    ] {
        let expected = format!("expected CR and LF at the end of the line, got \"{got}\"");
        assert!(mistake(line).contains(&expected), "{}", mistake(line));
    }
}
