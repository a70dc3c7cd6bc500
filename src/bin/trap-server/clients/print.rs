//! Tables for people, csv and ndjson for programs.

use std::fmt::Display;
use std::io::{self, ErrorKind, StdoutLock, Write};
use std::time::SystemTime;

use serde_json::{Value, json};
use trap_server::config::ClientPattern;
use trap_server::credentials::client::Client;
use trap_server::credentials::unknown::Attempt;
use trap_server::database::Timestamp;
use trap_server::logging::escape;

use crate::command::Failure;

/// The most bytes of a cell that a table shows.
const CELL: usize = 256;

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// With a header; `clients import` reads it
    Csv,
    /// One JSON object a line
    Ndjson,
}

/// What is printed on a line.
pub(super) trait Record {
    /// What a table calls its columns, and how wide they are; the last one is as wide as it has to be.
    const TABLE: &'static [(&'static str, usize)];
    /// What csv calls its columns.
    const CSV: &'static [&'static str];

    fn table(&self) -> Vec<String>;
    fn csv(&self) -> Vec<String>;
    fn json(&self) -> Value;
}

/// Standard output, which may be closed by whoever has read enough.
pub(super) struct Lines {
    out: StdoutLock<'static>,
    format: Format,
    has_header: bool,
}

impl Lines {
    pub(super) fn new(format: Format) -> Self {
        Self { out: io::stdout().lock(), format, has_header: false }
    }

    /// Prints these, and before the first of all the header.
    pub(super) fn all<R: Record>(&mut self, records: &[R]) -> Result<(), Failure> {
        self.print(records).or_else(forgive)
    }

    fn print<R: Record>(&mut self, records: &[R]) -> io::Result<()> {
        let mut text = Vec::new();
        if !std::mem::replace(&mut self.has_header, true) {
            match self.format {
                Format::Table => row(&mut text, R::TABLE, R::TABLE.iter().map(|(name, _)| *name))?,
                Format::Csv => csv_row(&mut text, R::CSV)?,
                Format::Ndjson => {}
            }
        }
        for record in records {
            match self.format {
                Format::Table => row(&mut text, R::TABLE, record.table().iter().map(String::as_str))?,
                Format::Csv => csv_row(&mut text, &record.csv())?,
                Format::Ndjson => writeln!(text, "{}", record.json())?,
            }
        }
        self.out.write_all(&text)?;
        self.out.flush()
    }
}

/// Prints a line.
pub(super) fn line(line: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").or_else(forgive)
}

fn forgive(err: io::Error) -> Result<(), Failure> {
    match err.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::io(format_args!("the output cannot be written: {err}"))),
    }
}

fn row<'a>(
    out: &mut Vec<u8>,
    columns: &[(&str, usize)],
    cells: impl Iterator<Item = &'a str>,
) -> io::Result<()> {
    let mut text = String::new();
    for ((_, width), cell) in columns.iter().zip(cells) {
        let cell = escape(cell.as_bytes(), CELL).to_string();
        text.push_str(&format!("{cell:<width$}  "));
    }
    writeln!(out, "{}", text.trim_end())
}

fn csv_row(out: &mut Vec<u8>, cells: &[impl AsRef<[u8]>]) -> io::Result<()> {
    Ok(csv::Writer::from_writer(out).write_record(cells)?)
}

fn or_nothing(time: Option<SystemTime>) -> String {
    time.map(stamp).unwrap_or_default()
}

impl Record for Client {
    const TABLE: &'static [(&'static str, usize)] = &[("ID", 24), ("STATE", 8), ("EXPIRES", 20), ("NOTE", 0)];
    /// The header of an import; what `created_at` says is not taken from there.
    const CSV: &'static [&'static str] = &["id", "enabled", "note", "expires_at", "created_at"];

    fn table(&self) -> Vec<String> {
        let expires_at = self.standing.expires_at;
        let has_expired = expires_at.is_some_and(|at| at <= SystemTime::now());
        let state = match (self.standing.enabled, has_expired) {
            (false, _) => "disabled",
            (true, true) => "expired",
            (true, false) => "enabled",
        };
        vec![self.id.clone(), state.into(), or_nothing(expires_at), self.note.clone()]
    }

    fn csv(&self) -> Vec<String> {
        let (enabled, expires_at) = (self.standing.enabled.to_string(), or_nothing(self.standing.expires_at));
        vec![self.id.clone(), enabled, self.note.clone(), expires_at, stamp(self.created_at)]
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "enabled": self.standing.enabled,
            "note": self.note,
            "expires_at": self.standing.expires_at.map(stamp),
            "created_at": stamp(self.created_at),
        })
    }
}

impl Record for Attempt {
    const TABLE: &'static [(&'static str, usize)] =
        &[("LAST", 20), ("TIMES", 8), ("REASON", 8), ("PEER", 21), ("ID", 0)];
    const CSV: &'static [&'static str] = &["id", "peer", "first_at", "last_at", "times", "reason"];

    fn table(&self) -> Vec<String> {
        let (last, times) = (stamp(self.last_at), self.times.to_string());
        vec![last, times, self.reason.clone(), self.peer.clone(), self.id.clone()]
    }

    fn csv(&self) -> Vec<String> {
        let (first, last) = (stamp(self.first_at), stamp(self.last_at));
        vec![self.id.clone(), self.peer.clone(), first, last, self.times.to_string(), self.reason.clone()]
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "peer": self.peer,
            "first_at": stamp(self.first_at),
            "last_at": stamp(self.last_at),
            "times": self.times,
            "reason": self.reason,
        })
    }
}

/// With the source `list`, what stands in the config.
impl Record for ClientPattern {
    const TABLE: &'static [(&'static str, usize)] = &[("ID", 0)];
    const CSV: &'static [&'static str] = &["id"];

    fn table(&self) -> Vec<String> {
        vec![self.to_string()]
    }

    fn csv(&self) -> Vec<String> {
        self.table()
    }

    fn json(&self) -> Value {
        json!({ "id": self.to_string() })
    }
}

fn stamp(time: SystemTime) -> String {
    Timestamp::from(time).seconds().to_string()
}
