//! A csv file of ids, and its mistakes.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::str::FromStr;

use bytesize::ByteSize;
use csv::{Position, ReaderBuilder, StringRecord};
use trap_server::credentials::roster::Entry;
use trap_server::protocol::ClientId;
use trap_server::when;

use super::{note, quotes};
use crate::command::Failure;
use crate::output::unguarded;

/// Maximum mistakes in one report.
const TOLD: usize = 100;

/// The known columns. The last one is ignored: `clients list --format csv` prints it.
const COLUMNS: [&str; 6] = ["id", "enabled", "note", "expires_at", "networks", "created_at"];

const NETWORKS: &str =
    "addresses or networks with a space between two of them (10.0.0.0/8 192.0.2.7), or empty";

/// Maximum bytes of a file: some hundred thousand ids. An import locks a SQLite file.
const MAX_FILE: u64 = 16 << 20;

/// The ids of the file at `path`, or its mistakes. "-" is standard input.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, Failure> {
    let (name, input) = if path.as_os_str() == "-" {
        ("standard input".into(), read_all(io::stdin().lock()))
    } else {
        (path.display().to_string(), File::open(path).and_then(read_all))
    };
    let input = input.map_err(|err| Failure::io(format_args!("cannot read {name}: {err}")))?;
    if input.len() as u64 > MAX_FILE {
        let most = ByteSize(MAX_FILE);
        return Err(Failure::usage(format_args!("{name} is larger than {most}: import it in several parts")));
    }
    parse(&input, name).map_err(Failure::usage)
}

fn read_all(input: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(input: &[u8], name: String) -> Result<Vec<Entry>, String> {
    let mut sheet = Sheet { name, ..Sheet::default() };
    let input = &without_broken_quotes(input, &mut sheet);
    let mut records = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&**input);
    let mut lines = Lines::new(input);
    for record in records.byte_records() {
        // Memory can always be read.
        let Ok(record) = record else { break };
        let line = lines.number(record.position().map_or(0, Position::byte));
        match StringRecord::from_byte_record(record) {
            Err(_) => sheet.mistake(line, "invalid UTF-8; save the file as UTF-8"),
            Ok(names) if sheet.columns.is_empty() => sheet.header(line, &names),
            Ok(values) => sheet.entry(line, &values),
        }
        if sheet.columns.is_empty() {
            break;
        }
    }
    if sheet.columns.is_empty() && sheet.told.is_empty() {
        sheet.mistake(
            1,
            "the file is empty; its first line must name the columns, as in `id,enabled,note,expires_at`",
        );
    }
    sheet.finish()
}

/// The input, with each line of wrong quotes emptied: the csv reader would read all following lines as a
/// part of it.
fn without_broken_quotes(input: &[u8], sheet: &mut Sheet) -> Vec<u8> {
    let mut whole = Vec::with_capacity(input.len());
    for (line, number) in input.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        match quotes::check(line) {
            Ok(()) => whole.extend(line),
            Err(err) => {
                sheet.mistake(number, err);
                if whole.trim_ascii().is_empty() {
                    // This line should name the columns.
                    return whole;
                }
                whole.push(b'\n');
            }
        }
    }
    whole
}

/// Finds the lines of records, in their order.
struct Lines<'a> {
    behind: &'a [u8],
    at: u64,
    line: u64,
}

impl<'a> Lines<'a> {
    const fn new(input: &'a [u8]) -> Self {
        Self { behind: input, at: 0, line: 1 }
    }

    /// The line of the record at this byte, or behind the empty lines that are there.
    fn number(&mut self, at: u64) -> u64 {
        while let Some((byte, behind)) = self.behind.split_first() {
            if self.at >= at && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            (self.behind, self.at) = (behind, self.at + 1);
            self.line += u64::from(*byte == b'\n');
        }
        self.line
    }
}

/// A file while it is read.
#[derive(Default)]
struct Sheet {
    name: String,
    /// The position of each column in a line.
    columns: HashMap<&'static str, usize>,
    width: usize,
    entries: Vec<Entry>,
    /// The line of each id.
    lines: HashMap<ClientId, u64>,
    /// The mistakes, each behind its line.
    told: Vec<(u64, String)>,
    untold: usize,
}

impl Sheet {
    fn header(&mut self, line: u64, names: &StringRecord) {
        let before = self.told.len();
        let mut columns = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            match COLUMNS.into_iter().find(|known| *known == name.trim()) {
                None => self.mistake(
                    line,
                    format_args!("unknown column {name:?}, expected one of {}", COLUMNS.join(", ")),
                ),
                Some(known) if columns.insert(known, index).is_some() => {
                    self.mistake(line, format_args!("duplicate column `{known}`"));
                }
                Some(_) => {}
            }
        }
        if !columns.contains_key("id") {
            self.mistake(line, "missing column `id`; the first line must name the columns, as in `id,note`");
        }
        // With a wrong header, all other lines would be wrong.
        if self.told.len() == before {
            (self.columns, self.width) = (columns, names.len());
        }
    }

    fn entry(&mut self, line: u64, values: &StringRecord) {
        if values.len() != self.width {
            let (got, width) = (values.len(), self.width);
            self.mistake(line, format_args!("expected {width} values, as in the first line, got {got}"));
            return;
        }
        let Some(id) = self.id(line, values) else { return };
        let enabled =
            self.value(line, values, "enabled", "`true` or `false`", |text| bool::from_str(text).ok());
        let note = self.value(line, values, "note", "a line of at most 1000 bytes", |text| note(text).ok());
        let expires_at = self.value(line, values, "expires_at", when::FORMS, |text| match text {
            "" => Some(None),
            text => when::future(text).ok().map(Some),
        });
        let networks = self.value(line, values, "networks", NETWORKS, |text| text.parse().ok());
        self.entries.push(Entry { id, enabled, note, expires_at, networks });
    }

    fn id(&mut self, line: u64, values: &StringRecord) -> Option<ClientId> {
        let text = self.cell(values, "id")?;
        let id = match ClientId::try_from(text) {
            Ok(id) => id,
            Err(err) => {
                self.mistake(line, err);
                return None;
            }
        };
        match self.lines.insert(id.clone(), line) {
            None => Some(id),
            Some(above) => {
                self.mistake(line, format_args!("duplicate id {text:?}, also on line {above}"));
                None
            }
        }
    }

    /// The value of a column, if the file has the column and the value is valid.
    fn value<T>(
        &mut self,
        line: u64,
        values: &StringRecord,
        column: &str,
        right: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.cell(values, column)?;
        let value = read(text);
        if value.is_none() {
            self.mistake(line, format_args!("`{column}` must be {right}, not {text:?}"));
        }
        value
    }

    fn cell<'a>(&self, values: &'a StringRecord, column: &str) -> Option<&'a str> {
        self.columns.get(column).and_then(|index| values.get(*index)).map(unguarded)
    }

    fn mistake(&mut self, line: u64, what: impl Display) {
        if self.told.len() < TOLD {
            self.told.push((line, what.to_string()));
        } else {
            self.untold += 1;
        }
    }

    fn finish(mut self) -> Result<Vec<Entry>, String> {
        if self.told.is_empty() {
            return Ok(self.entries);
        }
        let more = if self.untold > 0 { format!("\nand {} more", self.untold) } else { String::new() };
        self.told.sort_by_key(|(line, _)| *line);
        let told: Vec<_> =
            self.told.iter().map(|(line, what)| format!("{}:{line}: {what}", self.name)).collect();
        Err(format!("nothing was imported:\n{}{more}", told.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &[u8]) -> Vec<Entry> {
        parse(text, "x.csv".into()).unwrap()
    }

    fn mistakes(text: impl AsRef<[u8]>) -> Vec<String> {
        let told = parse(text.as_ref(), "x.csv".into()).unwrap_err();
        told.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn a_missing_column_changes_nothing_and_an_empty_cell_clears_the_expiry() {
        let [a, b] = <[Entry; 2]>::try_from(entries(b"id\na\n\" b,1\"\n")).unwrap();
        assert_eq!((a.enabled, a.note, a.expires_at, b.id.as_str()), (None, None, None, " b,1"));
        let text =
            b"\xef\xbb\xbfenabled,id,expires_at,note,created_at\r\nfalse,a,,\"say \"\"hi\"\"\",whenever\r\n";
        let [a] = <[Entry; 1]>::try_from(entries(text)).unwrap();
        assert_eq!(
            (a.enabled, a.note.as_deref(), a.expires_at),
            (Some(false), Some("say \"hi\""), Some(None))
        );
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let text = "id,enabled,note,expires_at\na,true,,\n,true,,\nb,yes,,soon\na,true,,\nc\n\nd,true,\"a\ne,maybe,,\n";
        let told = mistakes(text);
        let begin = [
            "x.csv:3: invalid id length 0",
            "x.csv:4: `enabled` must be `true` or `false`, not \"yes\"",
            "x.csv:4: `expires_at` must be a date (2026-12-31)",
            "x.csv:5: duplicate id \"a\", also on line 2",
            "x.csv:6: expected 4 values, as in the first line, got 1",
            "x.csv:8: a quote is not closed",
            "x.csv:9: `enabled` must be `true` or `false`, not \"maybe\"",
        ];
        assert_eq!(told.len(), begin.len(), "{told:#?}");
        assert!(told.iter().zip(begin).all(|(told, begin)| told.starts_with(begin)), "{told:#?}");
        let windows = mistakes(text.replace('\n', "\r\n"));
        let lines = |told: &[String]| told.iter().map(|told| told[..7].to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&windows), lines(&told));
    }

    #[test]
    fn a_wrong_header_is_the_only_mistake_in_the_report() {
        assert_eq!(mistakes("name\na\n").len(), 2);
        assert_eq!(mistakes("\n\"id\na\n\"b\n").len(), 1);
        assert!(mistakes("id,id\na,a\n")[0].contains("duplicate column `id`"));
        assert!(mistakes("")[0].starts_with("x.csv:1: the file is empty"));
        assert!(mistakes(b"id\xff\na\n")[0].contains("UTF-8"));
    }

    #[test]
    fn a_hundred_mistakes_are_reported_and_the_others_are_counted() {
        let told = mistakes(format!("id\n{}", "\u{7f}\n".repeat(130)));
        assert_eq!((told.len(), told.last().map(String::as_str)), (101, Some("and 30 more")));
        assert!(mistakes(b"id\na\xff\nb\n")[0].starts_with("x.csv:2: invalid UTF-8"));
    }
}
