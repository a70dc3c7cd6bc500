//! Codecs of single values: how a value of a key is read from TOML, shown to people, and what its range is. Reading fails
//! with what would be right, as it goes on after "must be".

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use toml::de::DeValue;

use crate::when::{self, NotADuration};

/// Characters in a listener's name: it stands in every line of its log.
const NAME: RangeInclusive<usize> = 1..=32;

/// The form of the values of a key.
pub(super) trait Codec {
    type Value: Clone;

    fn read(&self, value: &DeValue<'_>) -> Result<Self::Value, Wrong>;

    fn show(&self, value: &Self::Value) -> String;

    /// The possible values, in the notation of the file.
    fn range(&self) -> String;
}

/// Why a value is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// What it must be.
    Value(String),
    /// Messages for elements of a list. Where there is no such element, the message is for the list.
    Elements(Vec<(usize, String)>),
}

impl From<String> for Wrong {
    fn from(right: String) -> Self {
        Self::Value(right)
    }
}

/// A whole number.
pub(super) struct Count<T>(pub(super) RangeInclusive<T>);

impl<T: TryFrom<u64> + PartialOrd + Display + Copy> Codec for Count<T> {
    type Value = T;

    fn read(&self, value: &DeValue<'_>) -> Result<T, Wrong> {
        let Self(range) = self;
        let number = integer(value).filter(|number| range.contains(number));
        number.ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()).into())
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }

    fn range(&self) -> String {
        format!("`{}` to `{}`", self.0.start(), self.0.end())
    }
}

/// A whole number, of which 0 means something else.
pub(super) struct CountOr<T>(pub(super) RangeInclusive<T>, pub(super) &'static str);

impl<T: TryFrom<u64> + PartialOrd + Display + Copy> Codec for CountOr<T> {
    type Value = Option<T>;

    fn read(&self, value: &DeValue<'_>) -> Result<Option<T>, Wrong> {
        let Self(range, otherwise) = self;
        if integer(value) == Some(0_u64) {
            return Ok(None);
        }
        let number = integer(value).filter(|number| range.contains(number));
        let right =
            || format!("a whole number from {} to {}, or 0 ({otherwise})", range.start(), range.end());
        number.map(Some).ok_or_else(|| right().into())
    }

    fn show(&self, value: &Option<T>) -> String {
        value.map_or_else(|| self.1.into(), |number| number.to_string())
    }

    fn range(&self) -> String {
        format!("{}; `0` is {}", Count(self.0.clone()).range(), self.1)
    }
}

fn integer<T: TryFrom<u64>>(value: &DeValue<'_>) -> Option<T> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()?.try_into().ok()
}

/// `true` or `false`.
pub(super) struct Flag;

impl Codec for Flag {
    type Value = bool;

    fn read(&self, value: &DeValue<'_>) -> Result<bool, Wrong> {
        value.as_bool().ok_or_else(|| Wrong::Value("true or false".into()))
    }

    fn show(&self, value: &bool) -> String {
        (if *value { "on" } else { "off" }).into()
    }

    fn range(&self) -> String {
        "`true`, `false`".into()
    }
}

/// One of some words.
pub(super) struct Word<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Codec for Word<T> {
    type Value = T;

    fn read(&self, value: &DeValue<'_>) -> Result<T, Wrong> {
        let found = self.0.iter().find(|(word, _)| value.as_str() == Some(word));
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let quoted: Vec<String> = self.0.iter().map(|(word, _)| format!("{word:?}")).collect();
            quoted.join(" or ").into()
        })
    }

    fn show(&self, value: &T) -> String {
        let found = self.0.iter().find(|(_, meaning)| meaning == value);
        found.map(|(word, _)| (*word).into()).unwrap_or_default()
    }

    fn range(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| format!("`{word:?}`")).collect();
        words.join(", ")
    }
}

/// A time with its unit.
pub(super) struct Time(pub(super) RangeInclusive<Duration>);

impl Codec for Time {
    type Value = Duration;

    fn read(&self, value: &DeValue<'_>) -> Result<Duration, Wrong> {
        time(value)?.filter(|time| self.0.contains(time)).ok_or_else(|| times(&self.0).into())
    }

    fn show(&self, value: &Duration) -> String {
        when::show(*value)
    }

    fn range(&self) -> String {
        format!("`\"{}\"` to `\"{}\"`", when::show(*self.0.start()), when::show(*self.0.end()))
    }
}

/// A time with its unit, and what 0 means.
pub(super) struct TimeOr(pub(super) RangeInclusive<Duration>, pub(super) &'static str);

impl Codec for TimeOr {
    type Value = Option<Duration>;

    fn read(&self, value: &DeValue<'_>) -> Result<Option<Duration>, Wrong> {
        match time(value)? {
            Some(Duration::ZERO) => Ok(None),
            Some(time) if self.0.contains(&time) => Ok(Some(time)),
            _ => Err(format!("{}, or \"0s\" ({})", times(&self.0), self.1).into()),
        }
    }

    fn show(&self, value: &Option<Duration>) -> String {
        value.map_or(self.1.into(), when::show)
    }

    fn range(&self) -> String {
        format!("{}; `\"0s\"` is {}", Time(self.0.clone()).range(), self.1)
    }
}

/// Whole seconds up to this number, and what 0 means.
pub(super) struct Seconds(pub(super) u64, pub(super) &'static str);

impl Codec for Seconds {
    type Value = Option<Duration>;

    fn read(&self, value: &DeValue<'_>) -> Result<Option<Duration>, Wrong> {
        match time(value)? {
            Some(Duration::ZERO) => Ok(None),
            Some(time) if time.subsec_nanos() == 0 && time.as_secs() <= self.0 => Ok(Some(time)),
            _ => {
                let Self(most, zero) = self;
                let right =
                    format!("whole seconds with their unit, from \"1s\" to \"{most}s\", or \"0s\" ({zero})");
                Err(right.into())
            }
        }
    }

    fn show(&self, value: &Option<Duration>) -> String {
        value.map_or(self.1.into(), when::show)
    }

    fn range(&self) -> String {
        format!("whole seconds to `\"{}s\"`; `\"0s\"` is {}", self.0, self.1)
    }
}

/// A duration, or none where the range tells more than the cause.
fn time(value: &DeValue<'_>) -> Result<Option<Duration>, String> {
    match value.as_str().map(when::duration) {
        Some(Ok(time)) => Ok(Some(time)),
        Some(Err(err @ NotADuration::Calendar)) => Err(err.to_string()),
        Some(Err(NotADuration::Malformed)) | None => Ok(None),
    }
}

fn times(range: &RangeInclusive<Duration>) -> String {
    let (from, to) = (when::show(*range.start()), when::show(*range.end()));
    format!("a time with its unit, such as \"3s\" or \"250ms\", from \"{from}\" to \"{to}\"")
}

/// Bytes with their unit.
pub(super) struct Size<T>(pub(super) RangeInclusive<T>);

impl<T> Codec for Size<T>
where
    T: TryFrom<u64> + Copy + PartialOrd,
    u64: TryFrom<T>,
{
    type Value = T;

    fn read(&self, value: &DeValue<'_>) -> Result<T, Wrong> {
        let size = bytes(value).and_then(|size| size.try_into().ok());
        size.filter(|size| self.0.contains(size)).ok_or_else(|| sizes(&self.0).into())
    }

    fn show(&self, value: &T) -> String {
        byte_size(*value).to_string()
    }

    fn range(&self) -> String {
        format!("`\"{}\"` to `\"{}\"`", short(*self.0.start()), short(*self.0.end()))
    }
}

/// Bytes with their unit, and what 0 means.
pub(super) struct SizeOr<T>(pub(super) RangeInclusive<T>, pub(super) &'static str);

impl<T> Codec for SizeOr<T>
where
    T: TryFrom<u64> + Copy + PartialOrd,
    u64: TryFrom<T>,
{
    type Value = Option<T>;

    fn read(&self, value: &DeValue<'_>) -> Result<Option<T>, Wrong> {
        if bytes(value) == Some(0) {
            return Ok(None);
        }
        let size = bytes(value).and_then(|size| size.try_into().ok());
        let size = size.filter(|size| self.0.contains(size));
        size.map(Some).ok_or_else(|| format!("{}, or \"0B\" ({})", sizes(&self.0), self.1).into())
    }

    fn show(&self, value: &Option<T>) -> String {
        value.map_or(self.1.into(), |size| byte_size(size).to_string())
    }

    fn range(&self) -> String {
        format!("{}; `\"0B\"` is {}", Size(self.0.clone()).range(), self.1)
    }
}

fn bytes(value: &DeValue<'_>) -> Option<u64> {
    let text = value.as_str()?;
    let has_unit = text.ends_with(['B', 'b']);
    text.parse::<ByteSize>().ok().filter(|_| has_unit).map(|size| size.as_u64())
}

fn sizes<T: Copy>(range: &RangeInclusive<T>) -> String
where
    u64: TryFrom<T>,
{
    let (from, to) = (byte_size(*range.start()), byte_size(*range.end()));
    format!("a size with its unit, such as \"256KiB\" or \"64MiB\", from {from} to {to}")
}

fn byte_size<T>(size: T) -> ByteSize
where
    u64: TryFrom<T>,
{
    ByteSize(u64::try_from(size).unwrap_or(u64::MAX))
}

/// As the file writes it.
fn short<T>(size: T) -> String
where
    u64: TryFrom<T>,
{
    byte_size(size).to_string().replace(".0 ", "")
}

/// A list of strings, read by a function that fails with messages for its elements.
pub(super) fn strings<T>(
    value: &DeValue<'_>,
    read: impl FnOnce(&[&str]) -> Result<T, Vec<(usize, String)>>,
) -> Result<T, Wrong> {
    let strings: Option<Vec<&str>> =
        value.as_array().and_then(|array| array.iter().map(|one| one.get_ref().as_str()).collect());
    let strings = strings.ok_or_else(|| Wrong::Value("a list of strings, [\"…\", \"…\"]".into()))?;
    read(&strings).map_err(Wrong::Elements)
}

/// A folder.
pub(super) struct Folder;

impl Codec for Folder {
    type Value = PathBuf;

    fn read(&self, value: &DeValue<'_>) -> Result<PathBuf, Wrong> {
        let path = value.as_str().filter(|path| !path.is_empty() && !path.contains('\0'));
        let right = || "the path of a folder, in quotes, such as \"data\"".to_owned();
        path.map(PathBuf::from).ok_or_else(|| right().into())
    }

    fn show(&self, value: &PathBuf) -> String {
        value.display().to_string()
    }

    fn range(&self) -> String {
        "a path".into()
    }
}

/// A file, of which the empty text means something else.
pub(super) struct FileOr(pub(super) &'static str);

impl Codec for FileOr {
    type Value = Option<PathBuf>;

    fn read(&self, value: &DeValue<'_>) -> Result<Option<PathBuf>, Wrong> {
        let path = value.as_str().filter(|path| !path.contains('\0'));
        let path = path.ok_or_else(|| format!("the path of a file, in quotes, or \"\" ({})", self.0))?;
        Ok(Some(path).filter(|path| !path.is_empty()).map(PathBuf::from))
    }

    fn show(&self, value: &Option<PathBuf>) -> String {
        value.as_ref().map_or(self.0.into(), |path| path.display().to_string())
    }

    fn range(&self) -> String {
        format!("a path; `\"\"` is {}", self.0)
    }
}

/// A list of files, of which none means something else.
pub(super) struct Files(pub(super) &'static str);

impl Codec for Files {
    type Value = Vec<PathBuf>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<PathBuf>, Wrong> {
        strings(value, |paths| {
            let wrong = paths.iter().enumerate().filter(|(_, path)| path.is_empty() || path.contains('\0'));
            let wrong: Vec<_> =
                wrong.map(|(index, _)| (index, "each element must be the path of a file".into())).collect();
            if wrong.is_empty() { Ok(paths.iter().map(PathBuf::from).collect()) } else { Err(wrong) }
        })
    }

    fn show(&self, value: &Vec<PathBuf>) -> String {
        let paths: Vec<_> = value.iter().map(|path| path.display().to_string()).collect();
        if paths.is_empty() { self.0.into() } else { paths.join(", ") }
    }

    fn range(&self) -> String {
        format!("a list of paths; `[]` is {}", self.0)
    }
}

/// A PostgreSQL database. Its password does not belong into a file that is shown and copied.
pub(super) struct PostgresUrl;

impl Codec for PostgresUrl {
    type Value = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        let url = value.as_str().filter(|url| is_postgres(url) && !has_password(url));
        let right = "\"postgres://user@host:port/database\" without a password, which is taken from the environment's \
                     PGPASSWORD";
        url.map(str::to_owned).ok_or_else(|| Wrong::Value(right.into()))
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }

    fn range(&self) -> String {
        "a URL without a password".into()
    }
}

fn is_postgres(url: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
}

fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || url.contains("password=")
}

/// The name of a listener.
pub(super) struct Name;

impl Codec for Name {
    type Value = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = value.as_str().filter(|name| NAME.contains(&name.len()) && name.chars().all(allowed));
        name.map(str::to_owned).ok_or_else(|| {
            format!("{} to {} letters, digits, `_` and `-`, in quotes", NAME.start(), NAME.end()).into()
        })
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }

    fn range(&self) -> String {
        format!("{} to {} letters, digits, `_`, `-`; unique", NAME.start(), NAME.end())
    }
}

/// A text, of which the empty one means none.
pub(super) struct OwnOr<C>(pub(super) C);

impl<C: Codec<Value = String>> Codec for OwnOr<C> {
    type Value = Option<String>;

    fn read(&self, value: &DeValue<'_>) -> Result<Option<String>, Wrong> {
        if value.as_str() == Some("") { Ok(None) } else { self.0.read(value).map(Some) }
    }

    fn show(&self, value: &Option<String>) -> String {
        value.as_ref().map_or("none".into(), |value| self.0.show(value))
    }

    fn range(&self) -> String {
        "a name, or `\"\"` for a rate of its own".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        let parsed = |text: &str| time(&DeValue::String(text.into()));
        assert_eq!(parsed("1h 30m"), Ok(Some(Duration::from_secs(5400))));
        for text in ["", "0", "3", "-3s", "3x"] {
            assert_eq!(parsed(text), Ok(None), "{text:?}");
        }
        assert!(parsed("1month").unwrap_err().contains("vary in length"));
    }

    #[test]
    fn a_size_has_a_unit() {
        let size = |text: &str| bytes(&DeValue::String(text.into()));
        assert_eq!(size("256KiB"), Some(256 * 1024));
        assert_eq!(size("1.5 MiB"), Some(3 << 19));
        assert_eq!(size("1MB"), Some(1_000_000));
        assert_eq!(size("0B"), Some(0));
        for text in ["", "1", "B", "-1B", "1XB", "1K", "99999999999999999999999B ", "1 MiB 2 MiB"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_found() {
        let url = |text: &str| PostgresUrl.read(&DeValue::String(text.into()));
        for right in ["postgres://trap@127.0.0.1:5432/trap", "postgresql:///trap?host=/run/postgresql"] {
            assert_eq!(url(right), Ok(right.into()));
        }
        for wrong in
            ["postgres://trap:secret@db/trap", "postgres://db/trap?password=secret", "mysql://db", ""]
        {
            let Err(Wrong::Value(right)) = url(wrong) else { panic!("{wrong}") };
            assert!(!right.contains("secret"), "{wrong}");
        }
    }
}
