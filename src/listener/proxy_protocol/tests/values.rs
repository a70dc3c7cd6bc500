use super::encoder::{sign, sign_at, v2, value, with_values};
use super::*;

fn told(values: &[Vec<u8>]) -> String {
    mistake(with_values(values))
}

#[test]
fn every_value_has_its_field() {
    let tls = [&[7, 0, 0, 0, 0][..], &value(0x21, "TLSv1.3"), &value(0x22, "größe 7"), &value(0x23, "AES")];
    let tls = [&tls.concat(), &value(0x24, "SHA256")[..], &value(0x25, "RSA2048")].concat();
    let values = [value(1, "h2"), value(2, "device.example"), value(5, [9; 128]), value(0x20, tls)];
    let found = header(with_values(&[values.concat(), value(0x30, "blue")]));
    let text = |text: &str| Some(text.into());
    let ssl = Ssl {
        is_tls: true,
        has_certificate: true,
        session_has_certificate: true,
        is_verified: true,
        version: text("TLSv1.3"),
        common_name: text("größe 7"),
        cipher: text("AES"),
        sig_alg: text("SHA256"),
        key_alg: text("RSA2048"),
    };
    let expected = Header {
        alpn: Some((*b"h2").into()),
        authority: text("device.example"),
        unique_id: Some([9; 128].into()),
        ssl: Some(ssl),
        netns: text("blue"),
        ..proxied("192.0.2.7:51692", "198.51.100.1:5000")
    };
    assert_eq!(found, expected);
}

#[test]
fn an_unknown_value_and_padding_are_skipped() {
    let values = [value(4, [1, 2, 3]), value(0xea, "vpce-1"), value(0x26, ""), value(4, []), value(2, "a")];
    assert_eq!(header(with_values(&values)).authority.as_deref(), Some("a"));
}

#[test]
fn a_value_that_is_longer_than_the_header_is_rejected() {
    assert!(told(&[vec![0xea, 0, 5, 1, 2]]).contains("expected 5 bytes in the value of type ea, got 2"));
    assert!(told(&[vec![4, 0, 1]]).contains("expected 1 bytes in the value of type 04, got 0"));
    // The good value behind it is a part of it.
    assert!(
        told(&[vec![2, 0, 9, b'a'], value(1, "h2")]).contains("expected 9 bytes in the value of type 02")
    );
    for cut in [vec![1], vec![1, 0]] {
        let expected = format!("expected 3 bytes of type and length of a value, got {}", cut.len());
        assert!(told(&[value(2, "a"), cut]).contains(&expected));
    }
}

#[test]
fn the_checksum_covers_the_whole_header() {
    let signed = sign(with_values(&[value(2, "a"), value(3, [0; 4])]));
    assert_eq!(header(&signed).authority.as_deref(), Some("a"));
    // Without its type, the header has no checksum.
    let kind = signed.len() - 7;
    for at in (16..signed.len()).filter(|at| *at != kind) {
        let mut bytes = signed.clone();
        bytes[at] ^= 0x10;
        assert!(parse(&bytes).is_err(), "{at}");
    }
    let mut bytes = signed.clone();
    bytes[16] ^= 1;
    assert!(mistake(bytes).contains("expected the checksum "));
    // A value behind it is covered too.
    let mut bytes = [&signed[..], &value(4, [1])].concat();
    bytes[15] += 4;
    assert!(mistake(bytes).contains("expected the checksum "));
}

#[test]
fn a_checksum_has_4_bytes() {
    assert!(told(&[value(3, [0; 3])]).contains("expected 4 bytes of checksum, got 3"));
    assert!(told(&[value(3, [0; 5])]).contains("expected 4 bytes of checksum, got 5"));
}

#[test]
fn a_unique_id_has_at_most_128_bytes() {
    assert!(told(&[value(5, [0; 129])]).contains("expected a unique id of at most 128 bytes, got 129"));
    assert_eq!(header(with_values(&[value(5, [])])).unique_id.as_deref(), Some(&[][..]));
}

#[test]
fn each_flag_is_its_field() {
    for flags in 0..=u8::MAX {
        for verify in [[0; 4], [0, 0, 0, 1], [1, 0, 0, 0]] {
            let ssl = header(with_values(&[value(0x20, [&[flags], &verify[..]].concat())])).ssl.unwrap();
            let found = [ssl.is_tls, ssl.has_certificate, ssl.session_has_certificate];
            assert_eq!(found, [1, 2, 4].map(|flag| flags & flag > 0));
            assert_eq!(ssl.is_verified, flags & 4 > 0 && verify == [0; 4], "{flags} {verify:?}");
        }
    }
}

#[test]
fn a_mistake_in_the_values_of_tls_rejects_the_header() {
    for (ssl, expected) in [
        (vec![1, 0, 0, 0], "expected 5 bytes of flags and verification in the value of type 20, got 4"),
        (vec![], "expected 5 bytes of flags and verification in the value of type 20, got 0"),
        (vec![1, 0, 0, 0, 0, 0x21, 0, 8, b'T'], "expected 8 bytes in the value of type 21, got 1"),
        (vec![1, 0, 0, 0, 0, 0x99, 0, 8, b'T'], "expected 8 bytes in the value of type 99, got 1"),
        (vec![1, 0, 0, 0, 0, 0x21], "expected 3 bytes of type and length of a value, got 1"),
        (vec![1, 0, 0, 0, 0, 0x22, 0, 1, 0xff], "expected UTF-8 in the value of type 22, got \"\\xff\""),
        (vec![1, 0, 0, 0, 0, 0x22, 0, 0, 0x22, 0, 0], "expected one value of type 22, got two"),
    ] {
        let told = told(&[value(0x20, ssl), value(2, "a")]);
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_value_stands_once_and_a_name_is_text() {
    for kind in [1, 2, 5, 0x30] {
        let told = told(&[value(kind, "a"), value(kind, "a")]);
        assert!(told.contains(&format!("expected one value of type {kind:02x}, got two")), "{told}");
    }
    let two = with_values(&[value(3, [0; 4]), value(3, [0; 4])]);
    let first = two.len() - 7;
    assert!(mistake(sign_at(first, two)).contains("expected one value of type 03, got two"));
    for kind in [2, 0x30] {
        assert!(told(&[value(kind, [0xff])]).contains("expected UTF-8 in the value of type "));
    }
    // A host name is not interpreted here.
    assert_eq!(header(v2(0x21, 0, &value(2, "a\0b"))).authority.as_deref(), Some("a\0b"));
}
