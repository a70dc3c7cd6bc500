//! Single values from TOML. Each fails with what would be right, as it goes on after "must be".

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use toml::de::DeValue;

use crate::when::{self, NotADuration};

/// Characters in a listener's name: it stands in every line of its log.
const NAME: RangeInclusive<usize> = 1..=32;

/// A whole number.
pub(super) fn count<T>(range: RangeInclusive<T>) -> impl Fn(&DeValue<'_>) -> Result<T, String>
where
    T: TryFrom<u64> + PartialOrd + Display,
{
    move |value| {
        let number = integer(value).filter(|number| range.contains(number));
        number.ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
    }
}

fn integer<T: TryFrom<u64>>(value: &DeValue<'_>) -> Option<T> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()?.try_into().ok()
}

/// `true` or `false`.
pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "true or false".into())
}

/// One of some words.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| {
        let found = words.iter().find(|(word, _)| value.as_str() == Some(word));
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let quoted: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            quoted.join(" or ")
        })
    }
}

/// A time with its unit.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&DeValue<'_>) -> Result<Duration, String> {
    move |value| time(value)?.filter(|time| range.contains(time)).ok_or_else(|| times(&range))
}

/// A time with its unit, of which 0 means off.
pub(super) fn duration_or_off(
    range: RangeInclusive<Duration>,
) -> impl Fn(&DeValue<'_>) -> Result<Option<Duration>, String> {
    move |value| match time(value)? {
        Some(Duration::ZERO) => Ok(None),
        Some(time) if range.contains(&time) => Ok(Some(time)),
        _ => Err(format!("{}, or \"0s\" (off)", times(&range))),
    }
}

/// Whole seconds up to `most`, of which 0 means off.
pub(super) fn seconds_or_off(most: u64) -> impl Fn(&DeValue<'_>) -> Result<Option<Duration>, String> {
    move |value| match time(value)? {
        Some(Duration::ZERO) => Ok(None),
        Some(time) if time.subsec_nanos() == 0 && time.as_secs() <= most => Ok(Some(time)),
        _ => Err(format!("whole seconds with their unit, from \"1s\" to \"{most}s\", or \"0s\" (off)")),
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
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Result<usize, String> {
    move |value| {
        let size = bytes(value).filter(|size| range.contains(size));
        size.and_then(|size| size.try_into().ok()).ok_or_else(|| sizes(&range))
    }
}

/// Bytes of a file, with their unit.
pub(super) fn size_of_file(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Result<u64, String> {
    move |value| bytes(value).filter(|size| range.contains(size)).ok_or_else(|| sizes(&range))
}

/// Bytes with their unit, of which 0 means off.
pub(super) fn size_or_off(
    range: RangeInclusive<u64>,
) -> impl Fn(&DeValue<'_>) -> Result<Option<u64>, String> {
    move |value| match bytes(value) {
        Some(0) => Ok(None),
        Some(size) if range.contains(&size) => Ok(Some(size)),
        _ => Err(format!("{}, or \"0B\" (off)", sizes(&range))),
    }
}

fn bytes(value: &DeValue<'_>) -> Option<u64> {
    let text = value.as_str()?;
    let has_unit = text.ends_with(['B', 'b']);
    text.parse::<ByteSize>().ok().filter(|_| has_unit).map(|size| size.as_u64())
}

fn sizes(range: &RangeInclusive<u64>) -> String {
    let (from, to) = (ByteSize(*range.start()), ByteSize(*range.end()));
    format!("a size with its unit, such as \"256KiB\" or \"64MiB\", from {from} to {to}")
}

/// A folder.
pub(super) fn path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    let path = value.as_str().filter(|path| !path.is_empty() && !path.contains('\0'));
    path.map(PathBuf::from).ok_or_else(|| "the path of a folder, in quotes, such as \"data\"".into())
}

/// A PostgreSQL database. Its password does not belong into a file that is shown and copied.
pub(super) fn postgres_url(value: &DeValue<'_>) -> Result<String, String> {
    let url = value.as_str().filter(|url| is_postgres(url) && !has_password(url));
    url.map(str::to_owned).ok_or_else(|| {
        "\"postgres://user@host:port/database\" without a password, which is taken from the environment's PGPASSWORD"
            .into()
    })
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
pub(super) fn name(value: &DeValue<'_>) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = value.as_str().filter(|name| NAME.contains(&name.len()) && name.chars().all(allowed));
    name.map(str::to_owned)
        .ok_or_else(|| format!("{} to {} letters, digits, `_` and `-`, in quotes", NAME.start(), NAME.end()))
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
        let url = |text: &str| postgres_url(&DeValue::String(text.into()));
        for right in ["postgres://trap@127.0.0.1:5432/trap", "postgresql:///trap?host=/run/postgresql"] {
            assert_eq!(url(right).as_deref(), Ok(right));
        }
        for wrong in
            ["postgres://trap:secret@db/trap", "postgres://db/trap?password=secret", "mysql://db", ""]
        {
            assert!(!url(wrong).unwrap_err().contains("secret"), "{wrong}");
        }
    }
}
