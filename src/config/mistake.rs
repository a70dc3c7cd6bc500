//! The mistakes of a config file: each has its line, its column, and a correction.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Maximum bytes of a config file. A hundred listeners with long lists of rules fit many times.
pub const MAX_FILE: u64 = 1 << 20;

/// Maximum mistakes in one report: a file with more is not a config file.
const TOLD: usize = 100;

/// Maximum characters of a source line that is shown.
const SHOWN: usize = 200;

/// Why a config cannot be loaded. Displayed, it is a text for the operator.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file does not exist, or cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is too large for a config file.
    #[error("{} is larger than {MAX_FILE} bytes, the limit of a config file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file has mistakes.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_FILE) {
        return Err(LoadError::TooLarge { path: path.into() });
    }
    String::from_utf8(bytes).map_err(|err| {
        let at = err.utf8_error().valid_up_to();
        let at = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
        let fault = Fault { at, message: "invalid UTF-8: a config file must be UTF-8 text".into() };
        let text = String::from_utf8_lossy(err.as_bytes());
        Mistakes::new(&text, &path.display().to_string(), Vec::new(), vec![fault]).into()
    })
}

/// The mistakes of one file, in the order of its lines; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The first hundred of them.
    pub told: Vec<Mistake>,
    /// The number of the others.
    pub untold: usize,
}

/// A mistake in a config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The path of the file, as given.
    pub file: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
    /// The mistake, and a correction.
    pub message: String,
    /// The line with the mistake marked, on lines of their own; nothing if the line is very long.
    excerpt: String,
}

impl Mistakes {
    /// A line with syntax errors has only its first one in the report; the others may follow from it.
    pub(super) fn new(text: &str, file: &str, mut syntax: Vec<Fault>, faults: Vec<Fault>) -> Self {
        let lines = Lines::new(text);
        syntax.sort_by_key(|fault| fault.at.start);
        syntax.dedup_by_key(|fault| lines.number(fault.at.start));
        let broken = lines.broken(&syntax);
        let is_whole = |fault: &Fault| {
            let touched = lines.number(fault.at.start)..=lines.number(fault.at.end);
            broken.range(touched).next().is_none()
        };
        let mut all = syntax;
        all.extend(faults.into_iter().filter(is_whole));
        all.sort_by_key(|fault| fault.at.start);
        let told = all.iter().take(TOLD).map(|fault| lines.mistake(file, fault)).collect();
        Self { told, untold: all.len().saturating_sub(TOLD) }
    }
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.told.iter().enumerate() {
            let between = if index == 0 { "" } else { "\n" };
            write!(f, "{between}{mistake}")?;
        }
        match self.untold {
            0 => Ok(()),
            more => write!(f, "\nand {more} more mistakes"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, excerpt } = self;
        write!(f, "{file}:{line}:{column}: {message}{excerpt}")
    }
}

/// A mistake before its position is known in lines: a range of bytes.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Range<usize>,
    pub(super) message: String,
}

impl Fault {
    /// An error of the TOML parser, in the words of this file.
    pub(super) fn syntax(text: &str, err: &toml::de::Error) -> Self {
        let at = err.span().unwrap_or(text.len()..text.len());
        let message = match err.message().trim_end_matches(", expected nothing") {
            "duplicate key" => {
                format!("duplicate key `{}`", text.get(at.clone()).unwrap_or_default())
            }
            quotes if quotes.starts_with("invalid ") => format!("{quotes}; text must be in quotes"),
            other => other.into(),
        };
        Self { at, message }
    }
}

/// The first byte of each line of a text.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let starts = std::iter::once(first).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts: starts.collect() }
    }

    /// The line at this byte, counted from 1.
    fn number(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).max(1)
    }

    /// The first byte of this line, and its text.
    fn line(&self, number: usize) -> (usize, &'t str) {
        let start = self.starts.get(number - 1).copied().unwrap_or_default();
        let line = self.text.get(start..).and_then(|rest| rest.lines().next());
        (start, line.unwrap_or_default())
    }

    /// The lines with a syntax error and, where it is in the head of a section, the section.
    fn broken(&self, syntax: &[Fault]) -> BTreeSet<usize> {
        let is_head = |number: &usize| self.line(*number).1.trim_start().starts_with('[');
        let mut broken = BTreeSet::new();
        for fault in syntax {
            let number = self.number(fault.at.start);
            broken.insert(number);
            if is_head(&number) {
                broken.extend((number + 1..=self.starts.len()).take_while(|below| !is_head(below)));
            }
        }
        broken
    }

    fn mistake(&self, file: &str, fault: &Fault) -> Mistake {
        let line = self.number(fault.at.start);
        let (start, source) = self.line(line);
        let before = self.text.get(start..fault.at.start).unwrap_or_default();
        let end = fault.at.end.min(start + source.len());
        let marked = self.text.get(fault.at.start..end).unwrap_or_default().chars().count();
        Mistake {
            file: file.into(),
            line,
            column: before.chars().count() + 1,
            // It may quote a key.
            message: fault.message.chars().map(printable).collect(),
            excerpt: excerpt(line, source, before, marked.max(1)),
        }
    }
}

/// Whether a piece of the file may contain a password, and must not be shown.
pub(super) fn may_hold_password(source: &str) -> bool {
    source.contains("://")
}

/// A mistake may quote any piece of the file, and does nothing to a terminal.
fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { ' ' } else { c }
}

fn excerpt(line: usize, source: &str, before: &str, marked: usize) -> String {
    if source.chars().count() > SHOWN || may_hold_password(source) {
        return String::new();
    }
    let source: String = source.chars().map(printable).collect();
    let blank: String = before.chars().map(|c| if c == '\t' { c } else { ' ' }).collect();
    let marks = "^".repeat(marked);
    let line = line.to_string();
    let gutter = " ".repeat(line.len());
    format!("\n{gutter} |\n{line} | {source}\n{gutter} | {blank}{marks}\n")
}
