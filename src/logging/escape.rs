//! Escaping of external bytes for a log line: they cannot break, colour or reverse a line.

use std::fmt::{self, Display};

/// Escapes `bytes` for a log line. Text stays as it is, `\` and `"` get a backslash, and invisible or non-UTF-8 bytes
/// become `\xNN`, byte by byte. At most `most` bytes of the input are shown, fewer if a character would be cut. The
/// number of missing bytes follows at the end.
pub fn escape(bytes: &[u8], most: usize) -> impl Display {
    let shown = bytes.get(..cut(bytes, most)).unwrap_or(bytes);
    Escaped { shown, missing: bytes.len() - shown.len() }
}

/// Text of the server or of a library: only invisible characters are escaped.
pub(super) struct Visible<'a>(pub(super) &'a str);

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, self.0, is_invisible)
    }
}

struct Escaped<'a> {
    shown: &'a [u8],
    missing: usize,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.shown.utf8_chunks() {
            write_text(f, chunk.valid(), |c| matches!(c, '\\' | '"') || is_invisible(c))?;
            write_hex(f, chunk.invalid())?;
        }
        match self.missing {
            0 => Ok(()),
            missing => write!(f, "…(+{missing} bytes)"),
        }
    }
}

/// The cut position that keeps at most `most` bytes and splits no character.
fn cut(bytes: &[u8], most: usize) -> usize {
    if bytes.len() <= most {
        return bytes.len();
    }
    let is_split = |&start: &usize| {
        let tail = bytes.get(start..).unwrap_or_default();
        let first = tail.get(..char::MAX.len_utf8()).unwrap_or(tail).utf8_chunks().next();
        first.and_then(|chunk| chunk.valid().chars().next()).is_some_and(|c| start + c.len_utf8() > most)
    };
    (most.saturating_sub(3)..most).find(is_split).unwrap_or(most)
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str, is_escaped: impl Fn(char) -> bool) -> fmt::Result {
    for part in text.split_inclusive(&is_escaped) {
        match part.chars().next_back().filter(|&c| is_escaped(c)) {
            None => f.write_str(part)?,
            Some(last) => {
                f.write_str(part.strip_suffix(last).unwrap_or_default())?;
                write_escaped(f, last)?;
            }
        }
    }
    Ok(())
}

fn write_escaped(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\\' => f.write_str("\\\\"),
        '"' => f.write_str("\\\""),
        _ => write_hex(f, c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

/// Control, bidi and other format characters, separators, and marks that would change the character before them: the
/// standard library knows them, and prints them escaped.
fn is_invisible(c: char) -> bool {
    !matches!(c, ' '..='~') && c.escape_debug().len() > 1
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn escaped(bytes: &[u8], most: usize) -> String {
        escape(bytes, most).to_string()
    }

    fn unescaped(text: &str) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), text);
        while let Some(c) = rest.chars().next() {
            let (byte, len) = match rest.as_bytes() {
                [b'\\', b'x', ..] => (u8::from_str_radix(&rest[2..4], 16).unwrap(), 4),
                [b'\\', c, ..] => (*c, 2),
                _ => {
                    bytes.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
                    rest = &rest[c.len_utf8()..];
                    continue;
                }
            };
            bytes.push(byte);
            rest = &rest[len..];
        }
        bytes
    }

    #[test]
    fn invisible_characters_are_escaped() {
        assert_eq!(escaped(b"a\nb\x1b[31m\0\x7f", 99), r"a\x0ab\x1b[31m\x00\x7f");
        assert_eq!(escaped("\u{202e}\u{2066}\u{2028}\u{85}".as_bytes(), 99), {
            r"\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8\xc2\x85"
        });
        assert_eq!(escaped("e\u{301}\u{200b}".as_bytes(), 99), r"e\xcc\x81\xe2\x80\x8b");
        assert_eq!(escaped(br#"say "\x41""#, 99), r#"say \"\\x41\""#);
        assert_eq!(escaped(b"\xff\xc3(", 99), r"\xff\xc3(");
    }

    #[test]
    fn no_character_is_cut_in_two() {
        assert_eq!(escaped("aö€𝄞".as_bytes(), 99), "aö€𝄞");
        assert_eq!(escaped("aö€𝄞".as_bytes(), 9), "aö€…(+4 bytes)");
        assert_eq!(escaped("aö€𝄞".as_bytes(), 6), "aö€…(+4 bytes)");
        assert_eq!(escaped("aö€𝄞".as_bytes(), 5), "aö…(+7 bytes)");
        assert_eq!(escaped("aö€𝄞".as_bytes(), 2), "a…(+9 bytes)");
        assert_eq!(escaped("aö€𝄞".as_bytes(), 0), "…(+10 bytes)");
        assert_eq!(escaped(b"\xe2\x82\xe2\x82", 1), r"\xe2…(+3 bytes)");
    }

    #[test]
    fn text_of_the_server_keeps_its_quotes() {
        assert_eq!(Visible("\"a\\b\"\r\n").to_string(), r#""a\b"\x0d\x0a"#);
    }

    proptest! {
        #[test]
        fn the_output_is_one_visible_line(
            bytes in vec(any::<u8>(), 0..200),
            text in "\\PC{0,9}|.{0,40}",
            most in 0..300usize,
        ) {
            let bytes = [bytes, text.into_bytes()].concat();
            prop_assert_eq!(escaped(&bytes, most).chars().find(|&c| is_invisible(c) || c.is_control()), None);
        }

        #[test]
        fn nothing_is_lost_before_the_cut(bytes in vec(any::<u8>(), 0..60), text in ".{0,20}", most in 0..200usize) {
            let bytes = [bytes, text.into_bytes()].concat();
            let shown = cut(&bytes, most);
            let output = escaped(&bytes, most);
            let (head, missing) = match bytes.len() - shown {
                0 => (output.as_str(), 0),
                missing => (output.strip_suffix(&format!("…(+{missing} bytes)")).unwrap(), missing),
            };
            prop_assert_eq!(unescaped(head), &bytes[..shown]);
            prop_assert!(shown <= most && (missing == 0 || shown + 3 >= most));
        }

        #[test]
        fn text_that_is_cut_stays_text(text in "[ -~äß€字𝄞&&[^\\\\\"]]{0,40}", most in 0..80usize) {
            let shown = cut(text.as_bytes(), most);
            prop_assert!(text.is_char_boundary(shown));
            prop_assert!(escaped(text.as_bytes(), most).starts_with(&text[..shown]));
            prop_assert_eq!(escaped(text.as_bytes(), text.len()), text);
        }
    }
}
