//! Bytes of a device or of a server, decoded whole and cut: both mean the same. The first bytes of an input are the limit and
//! the cuts, the others are the stream. What is not complete yet can still become a frame.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use trap_server::protocol::codec::{self, Decoded, Head};
use trap_server::protocol::{Answer, Frame, Id, MAX_DATA, MAX_ID, Malformed, Mode, NotAFrame};

/// Bytes in front of the id of a frame with data.
const HEAD: usize = 4;

/// Streams up to this length are decoded byte by byte too.
const SHORT: usize = 128;

fuzz_target!(|input: &[u8]| {
    let Some((&[high, low, count], rest)) = input.split_first_chunk::<3>() else { return };
    let Some((cuts, stream)) = rest.split_at_checked(usize::from(count % 16)) else { return };
    let max_data = usize::from(u16::from_be_bytes([high, low]));
    cut_and_whole(stream, cuts, |input| frame(input, max_data));
    cut_and_whole(stream, cuts, answer);
});

/// What was decoded of a stream, with the positions; where the undecoded rest begins, and its error.
type Walk<T, E> = (Vec<(usize, T)>, usize, Option<E>);

fn cut_and_whole<'a, T: Debug + PartialEq, E: Debug + PartialEq>(
    stream: &'a [u8],
    cuts: &[u8],
    decode: impl Fn(&'a [u8]) -> Result<Option<(T, usize)>, E>,
) {
    let whole = walk(stream, [stream.len()], &decode);
    let mut ends: Vec<_> = cuts.iter().map(|cut| usize::from(*cut) * (stream.len() + 1) / 256).collect();
    ends.sort_unstable();
    ends.push(stream.len());
    assert_eq!(walk(stream, ends, &decode), whole);
    if stream.len() <= SHORT {
        assert_eq!(walk(stream, 0..=stream.len(), &decode), whole);
    }
}

/// Decodes a stream of which more arrives at each of `ends`. An error ends it: nothing behind it is decoded.
fn walk<'a, T, E: Debug + PartialEq>(
    stream: &'a [u8],
    ends: impl IntoIterator<Item = usize>,
    decode: impl Fn(&'a [u8]) -> Result<Option<(T, usize)>, E>,
) -> Walk<T, E> {
    let (mut decoded, mut at) = (Vec::new(), 0);
    for end in ends {
        loop {
            match decode(&stream[at..end]) {
                Ok(None) => break,
                Ok(Some((value, len))) => {
                    assert!(len > 0 && at + len <= end, "{len} bytes of {} are consumed", end - at);
                    decoded.push((at, value));
                    at += len;
                }
                Err(err) => return (decoded, at, Some(err)),
            }
        }
    }
    (decoded, at, None)
}

/// A frame, and the number of its bytes with the padding in front of it.
fn frame(input: &[u8], max_data: usize) -> Result<Option<(Frame<'_>, usize)>, NotAFrame> {
    let padding = codec::padding(input);
    assert!(input[..padding].iter().all(|byte| *byte == 0) && input.get(padding) != Some(&0));
    let input = &input[padding..];
    match codec::decode(input, max_data) {
        Ok(Decoded::Frame(frame, len)) => {
            check_frame(input, max_data, frame, len);
            Ok(Some((frame, padding + len)))
        }
        Ok(Decoded::Partial(head)) => {
            check_partial(input, max_data, head);
            Ok(None)
        }
        Err(malformed) => {
            assert_eq!(codec::decode_from(Id::try_from("a").ok(), input, max_data), Err(malformed));
            check_error(malformed, max_data);
            Err(malformed.why)
        }
    }
}

fn check_frame(input: &[u8], max_data: usize, frame: Frame<'_>, len: usize) {
    assert!(len <= HEAD + MAX_ID + max_data, "{len}");
    assert!(frame.data().len() <= max_data);
    assert_eq!(codec::decode_from(frame.id(), input, max_data), Ok(Decoded::Frame(frame, len)));
    check_round_trip(frame, &input[..len], max_data);
    // Once the id is there, the head announces what comes.
    let mode = if input[0] >> 6 == 1 { Mode::Session } else { Mode::OneShot };
    let head = (!frame.data().is_empty()).then_some(Head { mode, kind: frame.kind(), len });
    assert_eq!(codec::decode(&input[..len - 1], max_data), Ok(Decoded::Partial(head)));
}

fn check_round_trip(frame: Frame<'_>, bytes: &[u8], max_data: usize) {
    let mut encoded = Vec::new();
    codec::encode(&frame, &mut encoded).expect("data that came in a frame fits into a frame");
    assert_eq!(codec::decode(&encoded, max_data), Ok(Decoded::Frame(frame, bytes.len())));
    // The second byte of a PING or CONNECT may have any value.
    let (encoded, bytes) =
        if frame.id().is_none() { (&encoded[..1], &bytes[..1]) } else { (&*encoded, bytes) };
    assert_eq!(encoded, bytes);
}

fn check_partial(input: &[u8], max_data: usize, head: Option<Head>) {
    match head {
        Some(head) => assert!(input.len() < head.len && head.len <= HEAD + MAX_ID + max_data, "{head:?}"),
        None => assert!(input.len() < HEAD + MAX_ID, "{} bytes are not a head", input.len()),
    }
    let is_frame = |whole: &[u8]| matches!(codec::decode(whole, max_data), Ok(Decoded::Frame(_, len)) if len == whole.len());
    let can_go_on = input.is_empty() || completions(input).any(|whole| is_frame(&whole));
    assert!(can_go_on, "{input:02x?} begins no frame, and is no error yet");
}

/// The beginning of a frame with what may be missing. The id may be cut within a character, so it goes on with up to three
/// more bytes of it.
fn completions(input: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let characters: [&[u8]; 7] =
        [b"", b"\x80", b"\xa0", b"\x80\x80", b"\xa0\x80", b"\x80\x80\x80", b"\x90\x80\x80"];
    characters.into_iter().map(|character| complete(input, character))
}

fn complete(input: &[u8], character: &[u8]) -> Vec<u8> {
    let mut whole = input.to_vec();
    let (head, id, data) = match *input {
        [0x40 | 0x41, ..] => (2, 0, 0),
        [0x44, high, low, ..] => (3, u16::from_be_bytes([high, low]), 0),
        [0x44, ..] => (3, 1, 0),
        [_, high, low, id, ..] => (HEAD, id.into(), u16::from_be_bytes([high, low])),
        [_, high, low] => (HEAD, 1, u16::from_be_bytes([high, low])),
        [_, high] => (HEAD, 1, u16::from_be_bytes([high, 0])),
        _ => (HEAD, 1, 0),
    };
    // The last byte of a head is the length of an id, or of no account.
    whole.resize(whole.len().max(head - 1), 0);
    whole.resize(whole.len().max(head), 1);
    let end = head + usize::from(id);
    let missing = end.saturating_sub(whole.len());
    whole.extend(character.iter().take(missing));
    whole.resize(whole.len().max(end), b'a');
    whole.resize(whole.len().max(end + usize::from(data)), 0);
    whole
}

fn check_error(malformed: Malformed, max_data: usize) {
    assert!(!malformed.to_string().is_empty());
    if let NotAFrame::DataTooLong { least, max } = malformed.why {
        assert!(max == max_data && (max + 1..=MAX_DATA).contains(&least), "{malformed:?}");
    }
}

/// The same on the side of the device.
fn answer(input: &[u8]) -> Result<Option<(Answer<'_>, usize)>, codec::NotAnAnswer> {
    let answer = codec::decode_answer(input)?;
    match answer {
        Some((Answer::Frame(frame), len)) => {
            let mut encoded = Vec::new();
            codec::encode(&frame, &mut encoded).expect("data that came in a frame fits into a frame");
            assert_eq!(encoded, &input[..len]);
        }
        Some((Answer::Reply(reply), len)) => assert_eq!(reply.word().as_bytes(), &input[..len]),
        None => assert!(input.len() < HEAD + MAX_ID + MAX_DATA),
    }
    Ok(answer)
}
