//! The output of commands: tables for people, csv and ndjson for programs.
//!
//! | file | subject |
//! |---|---|
//! | `csv` | csv lines that a spreadsheet does not read as formulas |
//! | `stdout` | standard output |

mod csv;
mod stdout;

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use serde::Serialize;
use trap_server::logging::escape;

pub(crate) use self::csv::{Field, unguarded};
pub(crate) use self::stdout::Stdout;
use crate::command::Failure;

/// Maximum bytes of a cell in a table.
const CELL: usize = 256;

/// The formats of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    #[default]
    Table,
    /// With a header; a text that a spreadsheet would read as a formula has a ' before it
    Csv,
    /// One JSON object per line
    Ndjson,
}

/// A column of a table: its heading, and its width, which a longer cell exceeds.
pub(crate) enum Column {
    /// Text.
    Left(&'static str, usize),
    /// Numbers.
    Right(&'static str, usize),
}

/// A value that is printed as a line.
pub(crate) trait Record {
    /// The columns of a table.
    const TABLE: &'static [Column];
    /// The columns of csv.
    const CSV: &'static [&'static str];

    /// Its cells, [`visible`].
    fn table(&self) -> Vec<String>;
    /// Its fields.
    fn csv(&self) -> Vec<Field>;
    /// Its object.
    fn json(&self) -> impl Serialize;
}

/// A text that cannot do anything to a terminal.
pub(crate) fn visible(text: &str) -> String {
    escape(text.as_bytes(), CELL).to_string()
}

/// Prints records to standard output.
pub(crate) struct Printer {
    out: BufWriter<Stdout>,
    format: Format,
    line: Vec<u8>,
}

impl Printer {
    pub(crate) fn new(format: Format) -> io::Result<Self> {
        Ok(Self { out: BufWriter::new(Stdout::open()?), format, line: Vec::new() })
    }

    /// Prints the header of records.
    pub(crate) fn header<R: Record>(&mut self) -> io::Result<()> {
        self.write(|format, line| header::<R>(format, line))
    }

    /// Prints a record.
    pub(crate) fn record(&mut self, record: &impl Record) -> io::Result<()> {
        self.write(|format, line| row(format, record, line))
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Flushes the output.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The output.
    pub(crate) fn stdout(&self) -> &Stdout {
        self.out.get_ref()
    }

    fn write(&mut self, line: impl FnOnce(Format, &mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        self.line.clear();
        line(self.format, &mut self.line)?;
        self.out.write_all(&self.line)
    }
}

/// Prints a single line.
pub(crate) fn line(line: impl Display) -> Result<(), Failure> {
    text(format_args!("{line}\n"))
}

/// Prints a single text.
pub(crate) fn text(text: impl Display) -> Result<(), Failure> {
    let text = text.to_string();
    Stdout::open().and_then(|mut out| out.write_all(text.as_bytes())).map_err(Failure::output)
}

fn header<R: Record>(format: Format, out: &mut Vec<u8>) -> io::Result<()> {
    match format {
        Format::Table => cells::<R>(out, R::TABLE.iter().map(Column::heading)),
        Format::Csv => {
            let names: Vec<_> = R::CSV.iter().map(|name| Field::Plain((*name).into())).collect();
            csv::row(out, &names)
        }
        Format::Ndjson => Ok(()),
    }
}

fn row<R: Record>(format: Format, record: &R, out: &mut Vec<u8>) -> io::Result<()> {
    match format {
        Format::Table => cells::<R>(out, record.table().iter().map(String::as_str)),
        Format::Csv => csv::row(out, &record.csv()),
        Format::Ndjson => {
            serde_json::to_writer(&mut *out, &record.json())?;
            out.push(b'\n');
            Ok(())
        }
    }
}

/// A line of a table. The widths are fixed, because the lines below are not known yet.
fn cells<'a, R: Record>(out: &mut Vec<u8>, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let mut text = String::new();
    for (column, cell) in R::TABLE.iter().zip(cells) {
        text.push_str(&match column {
            Column::Left(_, width) => format!("{cell:<width$}  "),
            Column::Right(_, width) => format!("{cell:>width$}  "),
        });
    }
    writeln!(out, "{}", text.trim_end())
}

impl Column {
    const fn heading(&self) -> &'static str {
        match self {
            Self::Left(heading, _) | Self::Right(heading, _) => heading,
        }
    }
}
