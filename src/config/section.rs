//! A table of the file while it is read: each key is taken once, and keys that are left at the end are unknown. A mistake is
//! noted with its place, and reading goes on with the default.

use std::ops::Range;

use strsim::levenshtein;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Fault, may_hold_password};
use super::value::Wrong;

/// Maximum characters of the source that a message repeats.
const SHOWN: usize = 40;

/// A table that is being read.
pub(super) struct Section<'a> {
    /// The head of the section, such as `[server]`; `None` for the file itself.
    title: Option<String>,
    at: Range<usize>,
    table: DeTable<'a>,
    known: Vec<&'static str>,
    text: &'a str,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Section<'a> {
    /// Reads a whole file, whose `text` has become `table`.
    pub(super) fn file(
        text: &'a str,
        table: DeTable<'a>,
        faults: &'a mut Vec<Fault>,
        read: impl FnOnce(&mut Section<'_>),
    ) {
        Section { title: None, at: 0..0, table, known: Vec::new(), text, faults }.read(read);
    }

    /// Reads the section `[key]`, if there is one.
    pub(super) fn section(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>)) {
        let Some(value) = self.take(key) else { return };
        let (at, title) = (value.span(), format!("[{key}]"));
        match value.into_inner() {
            DeValue::Table(table) => self.inner(title, at, table).read(read),
            _ => self.fault(at, format!("`{key}` must be one section: {title}, with its keys below")),
        }
    }

    /// Reads each section `[[key]]`.
    pub(super) fn sections(&mut self, key: &'static str, mut read: impl FnMut(&mut Section<'_>)) {
        let Some(value) = self.take(key) else { return };
        let (at, title) = (value.span(), format!("[[{key}]]"));
        let right = format!("each `{key}` must be a section of its own: {title}, with its keys below");
        let tables = match value.into_inner() {
            DeValue::Array(tables) if !tables.is_empty() => tables,
            _ => return self.fault(at, right),
        };
        for table in tables {
            let at = table.span();
            match table.into_inner() {
                DeValue::Table(table) => self.inner(title.clone(), at, table).read(&mut read),
                _ => self.fault(at, right.clone()),
            }
        }
    }

    /// Sets `target` to the value of `key`, if it has one. Returns the position of the value (the head of the section, if
    /// it is the default), or nothing if it is wrong.
    pub(super) fn set<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> Option<Range<usize>> {
        let Some(value) = self.take(key) else {
            return Some(self.at.clone());
        };
        let at = value.span();
        match read(value.get_ref()) {
            Ok(read) => *target = read,
            Err(Wrong::Value(right)) => {
                let got = shown(self.text, &at);
                self.fault(at, format!("`{key}` must be {right}, not {got}"));
                return None;
            }
            Err(Wrong::Elements(wrong)) => {
                for (index, message) in wrong {
                    let element = value.get_ref().as_array().and_then(|array| array.get(index));
                    self.fault(element.map_or(at.clone(), Spanned::span), message);
                }
                return None;
            }
        }
        Some(at)
    }

    /// Notes that a section was renamed.
    pub(super) fn renamed(&mut self, key: &str, message: &str) {
        if let Some(value) = self.table.remove(key) {
            self.fault(value.span(), message.into());
        }
    }

    /// Whether the file has this key, and it has not been read yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes a mistake.
    pub(super) fn fault(&mut self, at: Range<usize>, message: String) {
        self.faults.push(Fault { at, message });
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table.remove(key)
    }

    fn inner<'b>(&'b mut self, title: String, at: Range<usize>, table: DeTable<'b>) -> Section<'b> {
        Section { title: Some(title), at, table, known: Vec::new(), text: self.text, faults: self.faults }
    }

    fn read(mut self, read: impl FnOnce(&mut Section<'_>)) {
        read(&mut self);
        for key in self.table.keys() {
            let what = match &self.title {
                Some(title) => format!("unknown key in {title}: `{}`", shown(self.text, &key.span())),
                None => format!("unknown section `{}`", shown(self.text, &key.span())),
            };
            let message = match near(key.get_ref(), &self.known) {
                Some(known) => format!("{what}, did you mean `{known}`?"),
                None => format!("{what}, expected one of {}", self.known.join(", ")),
            };
            self.faults.push(Fault { at: key.span(), message });
        }
    }
}

/// The piece of the source as it is written, cut short if it is long.
fn shown(text: &str, at: &Range<usize>) -> String {
    let source = text.get(at.clone()).unwrap_or_default();
    if may_hold_password(source) {
        return "…".into();
    }
    let mut shown: String = source.chars().take_while(|c| !c.is_control()).take(SHOWN).collect();
    if shown.len() < source.len() {
        shown.push('…');
    }
    shown
}

/// The known key that `key` is a slip of: at most every third character differs.
fn near<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let nearest = known.iter().min_by_key(|known| levenshtein(key, known))?;
    (levenshtein(key, nearest) <= nearest.len() / 3).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_key_is_near_and_another_word_is_not() {
        let known = ["workers", "shutdown", "log"];
        assert_eq!(near("worker", &known), Some("workers"));
        assert_eq!(near("Shut-down", &known), Some("shutdown"));
        assert_eq!(near("lag", &known), Some("log"));
        assert_eq!(near("lo", &["level"]), None);
        assert_eq!(near("foo", &known), None);
    }
}
