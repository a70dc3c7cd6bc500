//! Lines of csv.

use std::io;

use csv::WriterBuilder;

/// A value in a line.
pub(crate) enum Field {
    /// What somebody else has chosen.
    Text(String),
    /// Numbers, times and base64.
    Plain(String),
}

/// Writes a line.
pub(super) fn row(out: &mut Vec<u8>, fields: &[Field]) -> io::Result<()> {
    let fields = fields.iter().map(|field| match field {
        Field::Text(text) | Field::Plain(text) => text,
    });
    // A buffer of its own usual size would be made for each line.
    let mut writer = WriterBuilder::new().buffer_capacity(256).from_writer(out);
    writer.write_record(fields)?;
    writer.flush()
}
