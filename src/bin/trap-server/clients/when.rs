//! When an id expires, and notes: what an operator writes.

use std::time::{Duration, SystemTime};

use humantime::{parse_duration, parse_rfc3339_weak};

/// What is right, as it goes on after "must be".
pub(super) const RIGHT: &str = "a time such as 2026-12-31 (UTC), 2026-12-31 18:00:00 or 2026-12-31T18:00:00+02:00, or a \
                                span from now such as 30days";

/// Digits in a span. Nobody needs as many, and `humantime` panics where the sum of seconds exceeds 64 bits.
const DIGITS: usize = 15;

/// The longest span: later than that, it is never.
const SPAN: Duration = Duration::from_secs(1000 * 366 * 24 * 60 * 60);

/// Bytes of a note.
const NOTE: usize = 1000;

/// A time, or a span from now on.
pub(super) fn expiry(text: &str) -> Result<SystemTime, String> {
    let text = text.trim();
    moment(text).or_else(|| span(text)).ok_or_else(|| format!("it must be {RIGHT}"))
}

fn moment(text: &str) -> Option<SystemTime> {
    if let Ok(midnight) = parse_rfc3339_weak(&format!("{text}T00:00:00")) {
        return Some(midnight);
    }
    let Some((local, sign, offset)) = with_offset(text) else { return parse_rfc3339_weak(text).ok() };
    let local = parse_rfc3339_weak(local).ok()?;
    if sign == "+" { local.checked_sub(offset) } else { local.checked_add(offset) }
}

/// A time that ends with its distance from UTC, as in "+02:00".
fn with_offset(text: &str) -> Option<(&str, &str, Duration)> {
    let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let (sign, offset) = offset.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let is_offset = ["+", "-"].contains(&sign) && hours < 24 && minutes < 60;
    is_offset.then(|| (local, sign, Duration::from_secs((hours * 60 + minutes) * 60)))
}

fn span(text: &str) -> Option<SystemTime> {
    let text = text.strip_prefix("in ").unwrap_or(text);
    if text.bytes().filter(u8::is_ascii_digit).count() > DIGITS {
        return None;
    }
    let span = parse_duration(text).ok().filter(|span| *span <= SPAN)?;
    SystemTime::now().checked_add(span)
}

/// A note: a line of text.
pub(super) fn note(text: &str) -> Result<String, String> {
    if text.len() > NOTE || text.chars().any(char::is_control) {
        return Err(format!("it must be a line of at most {NOTE} bytes without control characters"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(text: &str) -> Option<u64> {
        let since_1970 = expiry(text).ok()?.duration_since(UNIX_EPOCH).unwrap();
        Some(since_1970.as_secs())
    }

    #[test]
    fn a_time_is_a_date_or_a_moment() {
        let midnight = Some(1_798_675_200);
        for text in [
            "2026-12-31",
            " 2026-12-31 00:00:00",
            "2026-12-31T00:00:00Z",
            "2026-12-31T00:00:00.250Z",
            "2026-12-31T02:00:00+02:00",
            "2026-12-30 18:30:00-05:30",
        ] {
            assert_eq!(at(text), midnight, "{text}");
        }
    }

    #[test]
    fn a_span_begins_now() {
        let day = Duration::from_secs(24 * 60 * 60);
        for text in ["30days", "in 30days", "in 4w 2d"] {
            let before = SystemTime::now();
            let at = expiry(text).unwrap();
            assert!(at >= before + 30 * day && at <= SystemTime::now() + 30 * day, "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_told_what_would_be_right() {
        for text in [
            "",
            "tomorrow",
            "2026-13-01",
            "2026-12-31T18:00:00+25:00",
            "31.12.2026",
            "30",
            "2000years",
            "18446744073709551615s 1000ms",
            "größer",
            "1969-12-31",
        ] {
            assert!(expiry(text).unwrap_err().contains("2026-12-31"), "{text}");
        }
        assert!(note("pump 7, north").is_ok());
        assert!(note("two\nlines").is_err() && note(&"x".repeat(1001)).is_err());
    }
}
