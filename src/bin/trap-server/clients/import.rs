//! A csv file of ids, and all that is wrong with it.

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

/// The most mistakes that are told of one file.
const TOLD: usize = 100;

/// Columns that are read, and one that `clients list --format csv` prints and the database fills by itself.
const COLUMNS: [&str; 5] = ["id", "enabled", "note", "expires_at", "created_at"];

/// The most bytes of a file: some hundred thousand ids. While it is imported, nobody else can write to a SQLite file.
const MAX_FILE: u64 = 16 << 20;

/// The ids of the file at `path`, or all that is wrong with it. "-" is standard input.
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
        // What is in memory can be read.
        let Ok(record) = record else { break };
        let line = lines.number(record.position().map_or(0, Position::byte));
        match StringRecord::from_byte_record(record) {
            Err(_) => sheet.mistake(line, "this is no UTF-8; save the file as that"),
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
            "it is empty; its first line must name the columns, as in `id,enabled,note,expires_at`",
        );
    }
    sheet.finish()
}

/// The input, in which each line whose quotes are wrong is empty: the reader of csv would take all that follows for a
/// part of it.
fn without_broken_quotes(input: &[u8], sheet: &mut Sheet) -> Vec<u8> {
    let mut whole = Vec::with_capacity(input.len());
    for (line, number) in input.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        match quotes::check(line) {
            Ok(()) => whole.extend(line),
            Err(err) => {
                sheet.mistake(number, err);
                if whole.trim_ascii().is_empty() {
                    // It was to name the columns.
                    return whole;
                }
                whole.push(b'\n');
            }
        }
    }
    whole
}

/// Tells the lines of records, which are asked for in their order.
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
    /// Where in a line each column stands.
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
                None => self
                    .mistake(line, format_args!("there is no column {name:?}, only {}", COLUMNS.join(", "))),
                Some(known) if columns.insert(known, index).is_some() => {
                    self.mistake(line, format_args!("the column `{known}` is there twice"));
                }
                Some(_) => {}
            }
        }
        if !columns.contains_key("id") {
            self.mistake(line, "there is no column `id`; the first line names the columns, as in `id,note`");
        }
        // With a wrong header nothing is right that follows.
        if self.told.len() == before {
            (self.columns, self.width) = (columns, names.len());
        }
    }

    fn entry(&mut self, line: u64, values: &StringRecord) {
        if values.len() != self.width {
            let (got, width) = (values.len(), self.width);
            self.mistake(
                line,
                format_args!("there must be {width} values as in the first line, here are {got}"),
            );
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
        self.entries.push(Entry { id, enabled, note, expires_at });
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
                self.mistake(line, format_args!("the id {text:?} stands on line {above} already"));
                None
            }
        }
    }

    /// The value of a column, if the file has it and it is right.
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
    fn a_column_that_is_not_there_changes_nothing_and_an_empty_cell_does() {
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
    fn every_mistake_is_told_with_its_line() {
        let text = "id,enabled,note,expires_at\na,true,,\n,true,,\nb,yes,,soon\na,true,,\nc\n\nd,true,\"a\ne,maybe,,\n";
        let told = mistakes(text);
        let begin = [
            "x.csv:3: invalid id length 0",
            "x.csv:4: `enabled` must be `true` or `false`, not \"yes\"",
            "x.csv:4: `expires_at` must be a date (2026-12-31)",
            "x.csv:5: the id \"a\" stands on line 2 already",
            "x.csv:6: there must be 4 values as in the first line, here are 1",
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
    fn a_wrong_header_is_all_that_is_told() {
        assert_eq!(mistakes("name\na\n").len(), 2);
        assert_eq!(mistakes("\n\"id\na\n\"b\n").len(), 1);
        assert!(mistakes("id,id\na,a\n")[0].contains("twice"));
        assert!(mistakes("")[0].starts_with("x.csv:1: it is empty"));
        assert!(mistakes(b"id\xff\na\n")[0].contains("UTF-8"));
    }

    #[test]
    fn so_many_mistakes_are_told_and_the_others_counted() {
        let told = mistakes(format!("id\n{}", "\u{7f}\n".repeat(130)));
        assert_eq!((told.len(), told.last().map(String::as_str)), (101, Some("and 30 more")));
        assert!(mistakes(b"id\na\xff\nb\n")[0].starts_with("x.csv:2: this is no UTF-8"));
    }
}
