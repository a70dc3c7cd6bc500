//! How a message is printed.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;
use trap_server::logging::escape;
use trap_server::uplink::sqlite::Message;

/// How many bytes of the data a table shows.
const SHOWN: usize = 64;

/// The columns of `csv`. It has no text: what a device sends must not be taken for a formula.
const COLUMNS: [&str; 8] = ["id", "received_at", "client", "peer", "listener", "mode", "bytes", "data"];

/// The columns of `table`.
const HEADINGS: [&str; 8] = ["ID", "RECEIVED AT", "CLIENT", "PEER", "LISTENER", "MODE", "BYTES", "DATA"];

/// How messages are printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Format {
    /// A line each, with the beginning of the data
    Table,
    /// A JSON object each, on a line of its own
    Ndjson,
    /// Comma-separated values below a line with their names
    Csv,
    /// The data alone
    Raw,
}

/// Prints messages in a format.
pub(super) enum Printer {
    Table(BufWriter<File>),
    Ndjson(BufWriter<File>),
    Csv(Box<csv::Writer<BufWriter<File>>>),
    Raw(BufWriter<File>),
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

impl Printer {
    /// A printer that has printed what stands above the messages.
    pub(super) fn new(format: Format, mut out: BufWriter<File>) -> io::Result<Self> {
        Ok(match format {
            Format::Table => {
                line(&mut out, HEADINGS)?;
                Self::Table(out)
            }
            Format::Ndjson => Self::Ndjson(out),
            Format::Csv => {
                let mut out = Box::new(csv::Writer::from_writer(out));
                out.write_record(COLUMNS).map_err(cause)?;
                Self::Csv(out)
            }
            Format::Raw => Self::Raw(out),
        })
    }

    /// Prints a message.
    pub(super) fn print(&mut self, message: &Message) -> io::Result<()> {
        match self {
            Self::Table(out) => row(out, message),
            Self::Ndjson(out) => {
                serde_json::to_writer(&mut *out, &Object::from(message))?;
                out.write_all(b"\n")
            }
            Self::Csv(out) => record(out, message).map_err(cause),
            Self::Raw(out) => out.write_all(&message.data),
        }
    }

    /// Hands on what is printed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Table(out) | Self::Ndjson(out) | Self::Raw(out) => out.flush(),
            Self::Csv(out) => out.flush(),
        }
    }
}

/// A line of a table. Nothing is known of the lines below, so the widths are what is usual.
fn line(out: &mut impl Write, columns: [&str; 8]) -> io::Result<()> {
    let [id, received_at, client, peer, listener, mode, bytes, data] = columns;
    writeln!(
        out,
        "{id:>8}  {received_at:<27}  {client:<16}  {peer:<21}  {listener:<10}  {mode:<8}  {bytes:>5}  {data}"
    )
}

/// A message as a line that cannot do anything to a terminal.
fn row(out: &mut impl Write, message: &Message) -> io::Result<()> {
    let visible = |text: &str| escape(text.as_bytes(), usize::MAX).to_string();
    line(
        out,
        [
            &message.id.to_string(),
            &message.received_at.to_string(),
            &visible(&message.client),
            &visible(&message.peer),
            &visible(&message.listener),
            &visible(&message.mode),
            &message.data.len().to_string(),
            &format!("\"{}\"", escape(&message.data, SHOWN)),
        ],
    )
}

fn record(out: &mut csv::Writer<impl Write>, message: &Message) -> csv::Result<()> {
    out.write_record([
        &message.id.to_string(),
        &message.received_at.to_string(),
        &message.client,
        &message.peer,
        &message.listener,
        &message.mode,
        &message.data.len().to_string(),
        &BASE64_STANDARD.encode(&message.data),
    ])
}

/// What the output said, from below what `csv` says.
fn cause(err: csv::Error) -> io::Error {
    match err.into_kind() {
        csv::ErrorKind::Io(err) => err,
        other => io::Error::other(format!("{other:?}")),
    }
}

impl<'a> From<&'a Message> for Object<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            id: message.id,
            received_at: message.received_at.to_string(),
            client: &message.client,
            peer: &message.peer,
            listener: &message.listener,
            mode: &message.mode,
            bytes: message.data.len(),
            data: BASE64_STANDARD.encode(&message.data),
            text: std::str::from_utf8(&message.data).ok(),
        }
    }
}
