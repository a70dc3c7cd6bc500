//! Printing messages.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;
use trap_server::logging::escape;
use trap_server::store::segments::reader::Message;

use crate::output::Column::{Left, Right};
use crate::output::{self, Column, Field, Record, visible};

/// Maximum bytes of the data in a table.
const SHOWN: usize = 64;

/// The formats of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One line per message, with the beginning of the data
    Table,
    /// One JSON object per line
    Ndjson,
    /// With a header; a text that a spreadsheet would read as a formula has a ' before it
    Csv,
    /// Only the bytes of the data
    Raw,
}

impl Format {
    /// The format of a record; `raw` has none.
    pub(super) fn of_records(self) -> Option<output::Format> {
        match self {
            Self::Table => Some(output::Format::Table),
            Self::Ndjson => Some(output::Format::Ndjson),
            Self::Csv => Some(output::Format::Csv),
            Self::Raw => None,
        }
    }
}

/// A message as `ndjson` has it.
#[derive(Serialize)]
struct Object<'a> {
    id: i64,
    received_at: String,
    client: &'a str,
    peer: &'a str,
    listener: &'a str,
    mode: &'a str,
    bytes: usize,
    data: String,
    text: Option<&'a str>,
}

impl Record for Message {
    const TABLE: &'static [Column] = &[
        Right("ID", 8),
        Left("RECEIVED AT", 27),
        Left("CLIENT", 16),
        Left("PEER", 21),
        Left("LISTENER", 10),
        Left("MODE", 8),
        Right("BYTES", 5),
        Left("DATA", 0),
    ];
    const CSV: &'static [&'static str] =
        &["id", "received_at", "client", "peer", "listener", "mode", "bytes", "data"];

    fn table(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.received_at.to_string(),
            visible(&self.client),
            visible(&self.peer),
            visible(&self.listener),
            visible(&self.mode),
            self.data.len().to_string(),
            format!("\"{}\"", escape(&self.data, SHOWN)),
        ]
    }

    fn csv(&self) -> Vec<Field> {
        vec![
            Field::Plain(self.id.to_string()),
            Field::Plain(self.received_at.to_string()),
            Field::Text(self.client.clone()),
            Field::Text(self.peer.clone()),
            Field::Text(self.listener.clone()),
            Field::Text(self.mode.clone()),
            Field::Plain(self.data.len().to_string()),
            Field::Plain(BASE64_STANDARD.encode(&self.data)),
        ]
    }

    fn json(&self) -> impl Serialize {
        Object {
            id: self.id,
            received_at: self.received_at.to_string(),
            client: &self.client,
            peer: &self.peer,
            listener: &self.listener,
            mode: &self.mode,
            bytes: self.data.len(),
            data: BASE64_STANDARD.encode(&self.data),
            text: std::str::from_utf8(&self.data).ok(),
        }
    }
}
