//! Checks the quotes of a csv line. The crate `csv` accepts wrong quotes, and one that is not
//! closed swallows all following lines.

/// A mistake in the quotes of a line, and a correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadQuotes {
    #[error(
        "a quote is not closed on this line; a value is a line of text, and a quote in it is written as \"\""
    )]
    Open,
    #[error("a closing quote is followed by {0:?}, not by a comma; a quote in a value is written as \"\"")]
    Behind(char),
    #[error(
        "a quote stands inside a value that does not begin with one; quote the value, and write the quote as \"\""
    )]
    Inside,
}

/// Checks a line. Values have no line breaks, so each line is checked alone.
pub(super) fn check(line: &[u8]) -> Result<(), BadQuotes> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii_end();
    let mut rest = Some(line);
    while let Some(value) = rest {
        rest = match value.strip_prefix(b"\"") {
            Some(quoted) => behind_quoted(quoted)?,
            None => behind_plain(value)?,
        };
    }
    Ok(())
}

/// The values after the first one, which has no quotes.
fn behind_plain(value: &[u8]) -> Result<Option<&[u8]>, BadQuotes> {
    let (value, rest) = match value.iter().position(|byte| *byte == b',') {
        Some(comma) => (&value[..comma], Some(&value[comma + 1..])),
        None => (value, None),
    };
    if value.contains(&b'"') { Err(BadQuotes::Inside) } else { Ok(rest) }
}

/// The values after the first one, whose opening quote is left out.
fn behind_quoted(value: &[u8]) -> Result<Option<&[u8]>, BadQuotes> {
    let mut rest = value;
    loop {
        let quote = rest.iter().position(|byte| *byte == b'"').ok_or(BadQuotes::Open)?;
        match &rest[quote + 1..] {
            [] => return Ok(None),
            [b',', values @ ..] => return Ok(Some(values)),
            [b'"', more @ ..] => rest = more,
            [other, ..] => return Err(BadQuotes::Behind(char::from(*other))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stand_around_a_value_or_twice_in_it() {
        for line in [
            "",
            "a,b",
            "\"\"",
            "a,\"b\",c\r\n",
            "\"say \"\"hi\"\"\",\"a,b\"",
            "\u{feff}\"id\"",
            ",\"\",",
            "\"\"\"\"",
        ] {
            assert_eq!(check(line.as_bytes()), Ok(()), "{line}");
        }
        for (line, wrong) in [
            ("\"", BadQuotes::Open),
            ("a,\"b", BadQuotes::Open),
            ("\"a\"\"", BadQuotes::Open),
            ("\"a\"b\",c", BadQuotes::Behind('b')),
            ("\"a\" ,c", BadQuotes::Behind(' ')),
            ("a\"", BadQuotes::Inside),
            ("a, \"b\"", BadQuotes::Inside),
        ] {
            assert_eq!(check(line.as_bytes()), Err(wrong), "{line}");
        }
    }
}
