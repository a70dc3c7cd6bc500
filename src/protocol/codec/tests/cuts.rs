//! However a stream is cut, it means the same, and a mistake is found at its first byte.

use proptest::sample::select;

use super::*;

const MAX: usize = 600;

/// Mostly text, so that most mistakes stand behind something that is right.
fn id_bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = select(vec!["a", " ", "~", "\u{a0}", "ß", "\u{7ff}", "\u{800}", "€", "\u{d7ff}", "😀"]);
    // Where the rules of UTF-8 and of control characters turn.
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

/// Frames, what is almost one, padding, and junk.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => encoded(),
        2 => almost_a_frame(),
        1 => vec(Just(0), 1..4),
        1 => vec(any::<u8>(), 1..8),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// What comes of a stream: its frames, the rule that it breaks, and how many bytes of a partial frame are left.
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
        bytes in stream(), cuts in vec(any::<prop::sample::Index>(), 0..8),
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
