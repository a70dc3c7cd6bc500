use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::protocol::BadClientId;

const SEND: &[u8] = b"\x47\x00\x05\x0aclient0012hello";

fn id() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,60}"
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

/// A frame that a device may send, in wire form.
fn encoded() -> impl Strategy<Value = Vec<u8>> {
    (0..8u8, id(), data()).prop_map(|(which, id, data)| {
        let (id, data) = (Id::try_from(id.as_str()).unwrap(), data.as_slice());
        let frame = match which {
            0 => Frame::Ping,
            1 => Frame::Connect,
            2 => Frame::Auth { client: id },
            3 | 4 => {
                Frame::Send { mode: if which == 3 { Mode::Session } else { Mode::OneShot }, client: id, data }
            }
            5 => Frame::Publish { client: id, data },
            6 => Frame::CmdOk { command: id, data },
            _ => Frame::CmdFailure { command: id, data },
        };
        bytes_of(&frame)
    })
}

fn decoded(input: &[u8], max_data: usize) -> Result<Decoded<'_>, NotAFrame> {
    decode(input, max_data).map_err(|malformed| malformed.why)
}

fn bytes_of(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(frame, &mut bytes).unwrap();
    bytes
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..600), max in 0..=MAX_DATA) {
        let _ = decode(&bytes, max);
        let _ = decode_answer(&bytes);
        let _ = padding(&bytes);
    }

    #[test]
    fn bytes_like_those_of_a_frame_never_panic(
        first in select(vec![0x40, 0x41, 0x44, 0x47, 0x87, 0x4a, 0x4d, 0x4e, 0x4f]),
        bytes in vec(any::<u8>(), 0..600),
    ) {
        let bytes = [vec![first], bytes].concat();
        if let Ok(Decoded::Frame(_, len)) = decode(&bytes, MAX_DATA) {
            prop_assert!(len <= bytes.len());
        }
        let _ = decode_answer(&bytes);
    }

    #[test]
    fn an_id_that_is_known_changes_nothing(bytes in encoded(), behind in data(), cut in any::<usize>()) {
        let Ok(Decoded::Frame(frame, _)) = decode(&bytes, MAX_DATA) else {
            panic!("not decoded: {bytes:02x?}");
        };
        let glued = [bytes.clone(), behind].concat();
        let input = &glued[..cut % (glued.len() + 1)];
        prop_assert_eq!(decode_from(frame.id(), input, MAX_DATA), decode(input, MAX_DATA));
    }

    #[test]
    fn an_encoded_frame_is_decoded(bytes in encoded(), behind in data()) {
        let glued = [bytes.clone(), behind].concat();
        let Ok(Decoded::Frame(frame, len)) = decode(&glued, MAX_DATA) else {
            panic!("not decoded: {bytes:02x?}");
        };
        prop_assert_eq!(len, bytes.len());
        prop_assert_eq!(bytes_of(&frame), bytes);
    }

    #[test]
    fn every_cut_of_a_frame_is_partial_and_has_its_length_once_the_id_is_complete(bytes in encoded()) {
        for cut in 0..bytes.len() {
            match decode(&bytes[..cut], MAX_DATA) {
                Ok(Decoded::Partial(None)) => {}
                Ok(Decoded::Partial(Some(head))) => prop_assert_eq!(head.len, bytes.len()),
                other => panic!("{other:?} after {cut} of {bytes:02x?}"),
            }
        }
    }

    #[test]
    fn a_device_understands_words_and_frames_however_they_are_cut(
        which in 0..12usize, id in id(), data in data(), behind in data(),
    ) {
        let id = Id::try_from(id.as_str()).unwrap();
        let (bytes, expected) = match Reply::ALL.get(which) {
            Some(&reply) => (reply.word().as_bytes().to_vec(), Answer::Reply(reply)),
            None => {
                let frame = match which {
                    10 => Frame::Publish { client: id, data: &data },
                    _ => Frame::Cmd { command: id, data: &data },
                };
                (bytes_of(&frame), Answer::Frame(frame))
            }
        };
        for cut in 0..bytes.len() {
            prop_assert_eq!(decode_answer(&bytes[..cut]), Ok(None));
        }
        let glued = [bytes.clone(), behind].concat();
        prop_assert_eq!(decode_answer(&glued), Ok(Some((expected, bytes.len()))));
    }
}

#[test]
fn a_send_is_decoded_where_it_stands() {
    let frame =
        Frame::Send { mode: Mode::Session, client: Id::try_from("client0012").unwrap(), data: b"hello" };
    assert_eq!(decode(SEND, 5), Ok(Decoded::Frame(frame, SEND.len())));
}

#[test]
fn first_bytes_that_start_no_frame_of_a_device() {
    let starts = [0x40, 0x41, 0x44, 0x47, 0x4a, 0x4e, 0x4f, 0x87];
    for byte in 1..=255 {
        let input = [byte];
        let decoded = decoded(&input, MAX_DATA);
        if starts.contains(&byte) {
            assert_eq!(decoded, Ok(Decoded::Partial(None)), "{byte:02x}");
        } else if matches!(byte >> 6, 0 | 3) {
            assert_eq!(decoded, Err(NotAFrame::Mode { byte }));
        } else {
            assert_eq!(decoded, Err(NotAFrame::Type { byte }));
        }
    }
}

#[test]
fn lengths_are_checked_before_the_bytes_that_they_announce_arrive() {
    assert_eq!(decoded(b"\x47\x00\x06", 5), Err(NotAFrame::DataTooLong { least: 6, max: 5 }));
    let none = Err(NotAFrame::Id(BadClientId::Length { got: 0 }));
    assert_eq!(decoded(b"\x47\x00\x05\x00", 5), none);
    assert_eq!(decoded(b"\x44\x00\x00", 5), none);
    assert_eq!(decoded(b"\x44\x01\x00", 5), Err(NotAFrame::IdTooLong { least: 256 }));
}

#[test]
fn an_id_is_checked_before_the_data_arrives() {
    assert_eq!(
        decoded(b"\x47\x00\x05\x02a\x07", 5),
        Err(NotAFrame::Id(BadClientId::Control { found: '\x07' }))
    );
    assert_eq!(decoded(b"\x4a\x00\x05\x02a\xff", 5), Err(NotAFrame::Id(BadClientId::NotUtf8 { at: 1 })));
}

#[test]
fn padding_is_counted_up_to_the_next_frame() {
    assert_eq!(padding(b""), 0);
    assert_eq!(padding(b"\x00\x00\x40\x00"), 2);
    assert_eq!(padding(b"\x00\x00"), 2);
}

#[test]
fn data_that_does_not_fit_is_not_encoded() {
    let data = vec![0; MAX_DATA + 1];
    let frame = Frame::Publish { client: Id::try_from("a").unwrap(), data: &data };
    let mut out = Vec::new();
    assert_eq!(encode(&frame, &mut out), Err(DataTooLong { got: MAX_DATA + 1 }));
    assert_eq!(out, b"");
}

#[test]
fn a_client_that_speaks_tls_is_recognized() {
    let told = |byte| decode(&[byte], MAX_DATA).unwrap_err().to_string();
    assert_eq!(told(0x16), "first byte 0x16 has mode 0, expected 1 or 2 (looks like TLS)");
    assert_eq!(told(0x17), "first byte 0x17 has mode 0, expected 1 or 2");
}

/// The most data of the streams below.
const MAX: usize = 600;

/// Mostly text, so that most mistakes follow valid bytes.
fn id_bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = select(vec!["a", " ", "~", "\u{a0}", "ß", "\u{7ff}", "\u{800}", "€", "\u{d7ff}", "😀"]);
    // The limits of the rules of UTF-8 and of control characters.
    let turns = b"\0\n\x1f\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc2\xdf\xe0\xed\xef\xf0\xf4\xf5\xff";
    let piece = prop_oneof![
        3 => text.prop_map(|text| text.as_bytes().to_vec()),
        1 => select(turns.to_vec()).prop_map(|byte| vec![byte]),
    ];
    vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

/// Something like a frame whose id and lengths may be wrong.
fn almost_a_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = select(vec![0x44, 0x47, 0x87, 0x4a, 0x4e, 0x4f]);
    let wrong = |wrong: std::ops::Range<usize>| prop_oneof![4 => Just(None), 1 => wrong.prop_map(Some)];
    (first, id_bytes(), vec(any::<u8>(), 0..4), wrong(0..900), wrong(0..900)).prop_map(
        |(first, id, data, wrong_id_len, wrong_data_len)| {
            let id_len = wrong_id_len.unwrap_or(id.len()) as u16;
            let data_len = wrong_data_len.unwrap_or(data.len()) as u16;
            match first {
                0x44 => [&[first], &id_len.to_be_bytes()[..], &id].concat(),
                _ => [&[first], &data_len.to_be_bytes()[..], &[id_len as u8], &id, &data].concat(),
            }
        },
    )
}

/// Frames, broken frames, padding, and junk.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => encoded(),
        2 => almost_a_frame(),
        1 => vec(Just(0), 1..4),
        1 => vec(any::<u8>(), 1..8),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// The decoded stream: its frames, the rule that it breaks, and the number of bytes of a partial frame that are left.
type Outcome = (Vec<String>, Option<NotAFrame>, usize);

fn outcome<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut frames, mut input) = (Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            input.drain(..padding(&input));
            match decoded(&input, MAX) {
                Ok(Decoded::Frame(frame, len)) => {
                    frames.push(format!("{frame:?}"));
                    input.drain(..len);
                }
                Ok(Decoded::Partial(_)) => break,
                Err(why) => return (frames, Some(why), 0),
            }
        }
    }
    (frames, None, input.len())
}

/// Whether a frame begins with these bytes. By trial, to be obvious.
fn can_become_a_frame(bytes: &[u8]) -> bool {
    match *bytes {
        [] | [0x44] | [0x40 | 0x41, ..] => true,
        [0x44, high, ref rest @ ..] => high == 0 && can_become_an_id(rest),
        [0x47 | 0x87 | 0x4a | 0x4e | 0x4f, ref rest @ ..] => match *rest {
            [] => true,
            [high] => u16::from_be_bytes([high, 0]) as usize <= MAX,
            [high, low, ref rest @ ..] => {
                u16::from_be_bytes([high, low]) as usize <= MAX && can_become_an_id(rest)
            }
        },
        _ => false,
    }
}

/// Whether a length, an id of that length, and anything else begin with these bytes.
fn can_become_an_id(bytes: &[u8]) -> bool {
    let Some((&len, begun)) = bytes.split_first() else { return true };
    let len = usize::from(len);
    let begun = &begun[..begun.len().min(len)];
    // The end of any character that the id may have been cut in, and then letters.
    let longer = |end: &Vec<u8>| [0x80, 0x90, 0xa0].map(|byte| [end.as_slice(), &[byte]].concat());
    let mut ends = vec![vec![]];
    for _ in 0..3 {
        ends.extend(ends.iter().flat_map(longer).collect::<Vec<_>>());
    }
    ends.iter().any(|end| {
        let mut whole = [begun, end].concat();
        let fits = whole.len() <= len;
        whole.resize(len, b'a');
        fits && is_id(&whole)
    })
}

fn is_id(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.is_empty() && !text.contains(char::is_control))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_mistake_is_found_at_its_first_byte(bytes in prop_oneof![5 => almost_a_frame(), 1 => stream()]) {
        let mut found = None;
        for cut in 0..=bytes.len() {
            let begun = &bytes[..cut];
            let why = decoded(begun, MAX).err();
            prop_assert_eq!(why.is_none(), can_become_a_frame(begun), "{:02x?}: {:?}", begun, why);
            prop_assert!(found.is_none() || why == found, "{:?}, then {:?}", found, why);
            found = why;
        }
    }

    #[test]
    fn a_stream_means_the_same_however_it_is_cut(
        bytes in stream(), cuts in vec(any::<Index>(), 0..8),
    ) {
        let whole = outcome([bytes.as_slice()]);
        prop_assert_eq!(&outcome(bytes.chunks(1)), &whole);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        prop_assert_eq!(&outcome(cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]])), &whole);
    }
}

#[test]
fn a_client_that_speaks_http_is_recognized() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PRI"] {
        let request = format!(
            "{method} * HTTP/1.0\r\nHost: localhost\r\nAccept: text/html\r\nUser-Agent: none\r\n\r\n"
        );
        let told = decode(request.as_bytes(), MAX_DATA).unwrap_err().to_string();
        assert!(told.ends_with(" (looks like HTTP)"), "{told}");
    }
    let told = decode(b"PUTS", MAX_DATA).unwrap_err().to_string();
    assert_eq!(told, "first byte 0x50 has type 16, which a device does not send in mode 1");
}

#[test]
fn ids_are_wrong_at_their_first_wrong_byte() {
    let rows: [(&[u8], usize); 12] = [
        (b"\x44\x01\x05", 2),
        (b"\x44\x00\x00", 3),
        (b"\x44\x00\x0a\x00", 4),
        (b"\x44\x00\x0a\xff", 4),
        (b"\x44\x00\x0aa\xc2\x85", 6),
        // Three bytes of a character do not fit into an id of two.
        (b"\x44\x00\x02\xe2\x82", 4),
        (b"\x47\x00\x05\x0a\x07", 5),
        (b"\x87\x00\x05\x0a\xc0\x80", 5),
        (b"\x4a\x00\x05\x0a\xed\xa0\x80", 6),
        (b"\x4e\x00\x05\x0a\xf4\x90\x80\x80", 6),
        (b"\x4f\x00\x05\x00", 4),
        (b"GET / HTTP/1.0\r\n\r\n", 15),
    ];
    for (bytes, decided) in rows {
        let partial = decode(&bytes[..decided - 1], MAX_DATA);
        assert_eq!(partial, Ok(Decoded::Partial(None)), "{bytes:02x?}");
        assert!(decode(&bytes[..decided], MAX_DATA).is_err(), "{bytes:02x?}");
    }
}
