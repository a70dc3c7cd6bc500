use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

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
    fn what_looks_like_a_frame_never_panics(
        first in prop::sample::select(vec![0x40, 0x41, 0x44, 0x47, 0x87, 0x4a, 0x4d, 0x4e, 0x4f]),
        bytes in vec(any::<u8>(), 0..600),
    ) {
        let bytes = [vec![first], bytes].concat();
        if let Ok(Decoded::Frame(_, len)) = decode(&bytes, MAX_DATA) {
            prop_assert!(len <= bytes.len());
        }
        let _ = decode_answer(&bytes);
    }

    #[test]
    fn what_it_encodes_it_decodes(bytes in encoded(), behind in data()) {
        let glued = [bytes.clone(), behind].concat();
        let Ok(Decoded::Frame(frame, len)) = decode(&glued, MAX_DATA) else {
            panic!("not decoded: {bytes:02x?}");
        };
        prop_assert_eq!(len, bytes.len());
        prop_assert_eq!(bytes_of(&frame), bytes);
    }

    #[test]
    fn every_cut_of_a_frame_is_partial_and_tells_its_length_once_the_id_is_there(bytes in encoded()) {
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
        let decoded = decode(&input, MAX_DATA);
        if starts.contains(&byte) {
            assert_eq!(decoded, Ok(Decoded::Partial(None)), "{byte:02x}");
        } else if matches!(byte >> 6, 0 | 3) {
            assert_eq!(decoded, Err(Malformed::Mode { byte }));
        } else {
            assert_eq!(decoded, Err(Malformed::Type { byte }));
        }
    }
}

#[test]
fn lengths_are_judged_before_what_they_announce_arrives() {
    assert_eq!(decode(b"\x47\x00\x06", 5), Err(Malformed::TooLong { got: 6, max: 5 }));
    let none = Err(Malformed::Id(BadClientId::Length { got: 0 }));
    assert_eq!(decode(b"\x47\x00\x05\x00", 5), none);
    assert_eq!(decode(b"\x44\x00\x00", 5), none);
    assert_eq!(decode(b"\x44\x01\x00", 5), Err(Malformed::Id(BadClientId::Length { got: 256 })));
}

#[test]
fn an_id_is_judged_before_the_data_arrives() {
    assert_eq!(
        decode(b"\x47\x00\x05\x02a\x07", 5),
        Err(Malformed::Id(BadClientId::Control { found: '\x07' }))
    );
    assert_eq!(decode(b"\x4a\x00\x05\x02a\xff", 5), Err(Malformed::Id(BadClientId::NotUtf8 { at: 1 })));
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
fn a_client_that_speaks_tls_is_told_apart() {
    let told = |byte| decode(&[byte], MAX_DATA).unwrap_err().to_string();
    assert_eq!(told(0x16), "first byte 0x16 has mode 0, expected 1 or 2 (looks like TLS)");
    assert_eq!(told(0x17), "first byte 0x17 has mode 0, expected 1 or 2");
}
