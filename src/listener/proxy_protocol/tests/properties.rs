use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::encoder::{binary, line, v2};
use super::*;

fn endpoints() -> impl Strategy<Value = Option<[SocketAddr; 2]>> {
    let v4 = any::<[(Ipv4Addr, u16); 2]>().prop_map(|both| both.map(SocketAddr::from));
    let v6 = any::<[(Ipv6Addr, u16); 2]>().prop_map(|both| both.map(SocketAddr::from));
    of(prop_oneof![v4, v6])
}

fn text() -> impl Strategy<Value = Option<Box<str>>> {
    of("[^\\x00]{0,20}".prop_map(Box::from))
}

prop_compose! {
    fn ssl()(flags: [bool; 3], verified: bool, texts in [text(), text(), text(), text(), text()]) -> Ssl {
        let [version, common_name, cipher, sig_alg, key_alg] = texts;
        let [is_tls, has_certificate, session_has_certificate] = flags;
        let is_verified = session_has_certificate && verified;
        Ssl {
            is_tls, has_certificate, session_has_certificate, is_verified,
            version, common_name, cipher, sig_alg, key_alg,
        }
    }
}

prop_compose! {
    fn headers()(
        endpoints in endpoints(), alpn in of(vec(any::<u8>(), 0..20)), authority in text(),
        unique_id in of(vec(any::<u8>(), 0..=128)), ssl in of(ssl()), netns in text(),
    ) -> Header {
        let [source, destination] = endpoints.map_or([None; 2], |both| both.map(Some));
        let [alpn, unique_id] = [alpn, unique_id].map(|bytes| bytes.map(Box::from));
        Header { command: Command::Proxy, source, destination, alpn, authority, unique_id, ssl, netns }
    }
}

/// Headers of both versions, right and broken, with bytes behind them; and anything.
pub(super) fn inputs() -> impl Strategy<Value = Vec<u8>> {
    let right = headers().prop_flat_map(|header| prop_oneof![Just(line(&header)), Just(binary(&header))]);
    let words =
        "PROXY (TCP4|TCP6|UNKNOWN|DUMMY)( (1\\.2\\.3\\.4|::1|[+0]?80|65536|x)){0,7}(\r\n|\n|\r| \r\n)";
    let blocks = (0x20..0x22u8, any::<u8>(), vec(any::<u8>(), 0..40));
    let fitting = prop_oneof![Just(0u8), Just(0x11), Just(0x12)];
    let values = (fitting, vec(prop_oneof![Just(0u8), 1..6u8, Just(0x20)], 0..40));
    let headers = prop_oneof![
        4 => right,
        2 => words.prop_map(String::into_bytes),
        1 => blocks.prop_map(|(command, family, block)| v2(command, family, &block)),
        1 => values.prop_map(|(family, block)| v2(0x21, family, &block)),
        1 => "PROXY UNKNOWN [ x\\r]{80,100}\r\n".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..30),
    ];
    let broken =
        (headers, of((any::<prop::sample::Index>(), any::<u8>()))).prop_map(|(mut bytes, change)| {
            if let Some((at, byte)) = change.filter(|_| !bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        });
    (broken, vec(any::<u8>(), 0..20)).prop_map(|(header, behind)| [header, behind].concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read(header in headers(), behind in vec(any::<u8>(), 0..20)) {
        let bytes = binary(&header);
        let length = bytes.len();
        prop_assert_eq!(parse([&bytes[..], &behind].concat()), Ok(Parsed::Done(header.clone(), length)));
        let bytes = line(&header);
        let Header { command, source, destination, .. } = header;
        let expected = Header { command, source, destination, ..Header::default() };
        let length = bytes.len();
        prop_assert_eq!(parse([bytes, behind].concat()), Ok(Parsed::Done(expected, length)));
    }

    /// Whatever part of the bytes is there, it is too short, or its result is that of all bytes.
    #[test]
    fn any_split_gives_the_same_result(bytes in inputs()) {
        let whole = parse(&bytes);
        let most = if let Ok(Parsed::Done(_, length)) = whole { length } else { usize::MAX };
        for cut in 0..bytes.len() {
            match (parse(&bytes[..cut]), &whole) {
                (Ok(Parsed::Need(need)), _) => prop_assert!(need > 0 && cut + need <= most, "{} {}", cut, need),
                // Its text may show more bytes.
                (Err(_), Err(_)) => {}
                (part, whole) => prop_assert_eq!(&part, whole),
            }
        }
    }

    /// A caller that reads no more than is needed never reads behind the header.
    #[test]
    fn what_is_needed_ends_with_the_header(header in headers(), behind in vec(any::<u8>(), 0..20)) {
        for bytes in [binary(&header), line(&header)] {
            let (length, bytes) = (bytes.len(), [&bytes[..], &behind].concat());
            let mut read = 0;
            while let Parsed::Need(need) = parse(&bytes[..read]).unwrap() {
                read += need;
            }
            prop_assert_eq!(read, length);
        }
    }

    #[test]
    fn any_bytes_have_a_result(bytes in vec(any::<u8>(), 0..100)) {
        let [local, proxied] = [0x20, 0x21].map(|command| [&v2::SIGNATURE[..], &[command], &bytes].concat());
        for bytes in [bytes.clone(), local, proxied, [b"PROXY ", &*bytes].concat()] {
            if let Ok(Parsed::Done(_, length)) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
