//! Csv lines that a spreadsheet does not read as formulas.

use std::borrow::Cow;
use std::io;

use csv::WriterBuilder;

/// A value in a line.
pub(crate) enum Field {
    /// A text of foreign origin.
    Text(String),
    /// Numbers, times and base64. Base64 must stay exact, and no harmful formula can be
    /// written in it.
    Plain(String),
}

/// Writes a line.
pub(super) fn row(out: &mut Vec<u8>, fields: &[Field]) -> io::Result<()> {
    let fields = fields.iter().map(|field| match field {
        Field::Text(text) => guarded(text),
        Field::Plain(text) => text.into(),
    });
    // The default buffer would be allocated for each line.
    let mut writer = WriterBuilder::new().buffer_capacity(256).from_writer(out);
    writer.write_record(fields.map(|field| field.into_owned()))?;
    writer.flush()
}

/// A text with `'` before the start of a formula. [`unguarded`] removes it.
fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// The text that was guarded.
pub(crate) fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|text| is_formula(text)).unwrap_or(text)
}

/// Whether it is a formula, or a guarded one: so every text survives a round trip.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_guarded_and_comes_back() {
        for (text, written) in [
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("'=1", "''=1"),
            ("'quoted'", "'quoted'"),
            ("'", "'"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(guarded(text), written);
            assert_eq!(unguarded(written), text);
        }
    }

    #[test]
    fn only_texts_are_guarded() {
        let mut line = Vec::new();
        row(&mut line, &[Field::Text("=1,\"2\"".into()), Field::Plain("+AB/".into())]).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), "\"'=1,\"\"2\"\"\",+AB/\n");
    }
}
