//! Times and durations as people write them: on the command line, in the config, and in csv files.

use std::time::{Duration, SystemTime};

use jiff::civil::DateTime;
use jiff::fmt::friendly::SpanPrinter;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, Unit, Zoned};

/// The forms of a time, as they follow "must be" or "expected".
pub const FORMS: &str = "a date (2026-12-31), a time (2026-12-31T18:00:00Z) or a duration (90m, 2d)";

/// The forms of a time, for the help of a command.
pub const HELP: &str = "\
TIME is one of:
  2026-12-31T18:00:00Z   a time in UTC, or with an offset: 2026-12-31T18:00:00+02:00
  2026-12-31 18:00       a time in the time zone of this machine (TZ)
  2026-12-31             the first moment of that day, there; also: today, yesterday, tomorrow
  90m, 2d, 1h 30m, P1D   a duration, counted from now";

/// Not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {FORMS}")]
pub struct NotATime;

/// Not a duration. Displayed, it follows "must be" or "expected".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADuration {
    /// It is something else, or has no unit.
    #[error("a duration with its unit, such as 250ms, 3s or 1h 30m")]
    Malformed,
    /// It has months or years.
    #[error("a duration in weeks or smaller units, because months and years vary in length")]
    Calendar,
}

/// A time, where a duration counts back from now.
pub fn past(text: &str) -> Result<SystemTime, NotATime> {
    parse(text, &Zoned::now(), Direction::Past)
}

/// A time, where a duration counts from now on.
pub fn future(text: &str) -> Result<SystemTime, NotATime> {
    parse(text, &Zoned::now(), Direction::Future)
}

/// A duration with its unit. A day has 24 hours.
pub fn duration(text: &str) -> Result<Duration, NotADuration> {
    let span = span(text).ok_or(NotADuration::Malformed)?;
    if span.get_months() != 0 || span.get_years() != 0 {
        return Err(NotADuration::Calendar);
    }
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok();
    duration.and_then(|duration| duration.try_into().ok()).ok_or(NotADuration::Malformed)
}

/// A duration as [`duration`] reads it, such as `1h 30m`.
pub fn show(duration: Duration) -> String {
    let printer = SpanPrinter::new();
    let span = SignedDuration::try_from(duration).and_then(|exact| {
        let exact = Span::try_from(exact)?;
        exact.round(jiff::SpanRound::new().largest(Unit::Day).days_are_24_hours())
    });
    span.map_or_else(|_| printer.unsigned_duration_to_string(&duration), |span| printer.span_to_string(&span))
}

/// Where a duration leads.
#[derive(Clone, Copy)]
enum Direction {
    Past,
    Future,
}

fn parse(text: &str, now: &Zoned, direction: Direction) -> Result<SystemTime, NotATime> {
    let text = text.trim();
    let time = day(text, now)
        .or_else(|| point(text, now.time_zone()).filter(|time| *time >= Timestamp::UNIX_EPOCH))
        .or_else(|| distant(text, now, direction));
    time.map(SystemTime::from).ok_or(NotATime)
}

fn day(text: &str, now: &Zoned) -> Option<Timestamp> {
    let day = match text {
        "now" => return Some(now.timestamp()),
        "today" => now.clone(),
        "yesterday" => now.yesterday().ok()?,
        "tomorrow" => now.tomorrow().ok()?,
        _ => return None,
    };
    day.start_of_day().ok().map(|start| start.timestamp())
}

/// A time with its offset or, without one, in `zone`.
fn point(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if text.contains('[') {
        // As in "2026-12-31T18:00[Europe/Berlin]", which would be read as a time without a zone below.
        return text.parse::<Zoned>().ok().map(|time| time.timestamp());
    }
    text.parse::<Timestamp>().ok().or_else(|| {
        let local = text.parse::<DateTime>().ok()?;
        local.to_zoned(zone.clone()).ok().map(|time| time.timestamp())
    })
}

fn distant(text: &str, now: &Zoned, direction: Direction) -> Option<Timestamp> {
    let time = match direction {
        Direction::Past => now.checked_sub(span(text.strip_suffix(" ago").unwrap_or(text))?),
        Direction::Future => now.checked_add(span(text.strip_prefix("in ").unwrap_or(text))?),
    };
    time.ok().map(|time| time.timestamp())
}

fn span(text: &str) -> Option<Span> {
    // "18:00:00" could be read as 18 hours, by people as a time of day.
    let span = text.trim().parse::<Span>().ok().filter(|_| !text.contains(':'));
    span.filter(|span| !span.is_negative())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// In Berlin the next day has begun. (Written out, because a machine may have no database of time zones.)
    fn now() -> Zoned {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        "2026-11-24T23:30:00Z".parse::<Timestamp>().unwrap().to_zoned(berlin)
    }

    fn seen(text: &str, direction: Direction) -> Option<String> {
        let time = parse(text, &now(), direction).ok()?;
        Some(Timestamp::try_from(time).unwrap().to_string())
    }

    #[test]
    fn a_time_is_in_utc_with_an_offset_or_local() {
        for (text, time) in [
            ("2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z"),
            ("2026-12-31 18:00:00Z", "2026-12-31T18:00:00Z"),
            ("2026-12-31T18:00:00.000001Z", "2026-12-31T18:00:00.000001Z"),
            (" 2026-12-31T18:00:00+02:00 ", "2026-12-31T16:00:00Z"),
            ("2026-12-31 18:00:00-05:30", "2026-12-31T23:30:00Z"),
            ("2026-12-31T18:00[-05:00]", "2026-12-31T23:00:00Z"),
            ("2026-12-31T18:00:00", "2026-12-31T17:00:00Z"),
            ("2026-12-31 18:00", "2026-12-31T17:00:00Z"),
            ("2026-07-01", "2026-06-30T22:00:00Z"),
            ("now", "2026-11-24T23:30:00Z"),
            ("today", "2026-11-24T23:00:00Z"),
            ("yesterday", "2026-11-23T23:00:00Z"),
            ("tomorrow", "2026-11-25T23:00:00Z"),
        ] {
            for direction in [Direction::Past, Direction::Future] {
                assert_eq!(seen(text, direction).as_deref(), Some(time), "{text}");
            }
        }
    }

    #[test]
    fn a_duration_counts_from_now() {
        for (text, past, future) in [
            ("90m", "2026-11-24T22:00:00Z", "2026-11-25T01:00:00Z"),
            ("1h 30m", "2026-11-24T22:00:00Z", "2026-11-25T01:00:00Z"),
            ("PT1H30M", "2026-11-24T22:00:00Z", "2026-11-25T01:00:00Z"),
            ("2 days", "2026-11-22T23:30:00Z", "2026-11-26T23:30:00Z"),
            ("1 month", "2026-10-24T22:30:00Z", "2026-12-24T23:30:00Z"),
        ] {
            assert_eq!(seen(text, Direction::Past).as_deref(), Some(past), "{text}");
            assert_eq!(seen(text, Direction::Future).as_deref(), Some(future), "{text}");
            assert_eq!(seen(&format!("{text} ago"), Direction::Past).as_deref(), Some(past), "{text}");
            assert_eq!(seen(&format!("in {text}"), Direction::Future).as_deref(), Some(future), "{text}");
        }
        assert!(seen("1000y", Direction::Past).is_some_and(|time| time.starts_with("1026-")));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "soon",
            "30",
            "-10m",
            "10M",
            "18:00",
            "18:00:00",
            "2026-13-01",
            "2026-11-31",
            "2026-11-24 18:75:00",
            "2026-12-31T18:00:00+26:00",
            "2026-12-31T18:00[Nowhere/Atall]",
            "31.12.2026",
            "1969-12-30",
            "20000years",
            "2026-1é-24",
            "18446744073709551615s 1000ms",
        ] {
            for direction in [Direction::Past, Direction::Future] {
                assert_eq!(seen(text, direction), None, "{text}");
            }
        }
        assert_eq!(seen("in 2h", Direction::Past), None);
        assert_eq!(seen("2h ago", Direction::Future), None);
    }

    #[test]
    fn a_duration_has_a_unit_that_does_not_vary() {
        for (text, seconds) in
            [("1h 30m", 5400), ("90 s", 90), ("2d", 172_800), ("4weeks", 2_419_200), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("0.5s"), Ok(Duration::from_millis(500)));
        for text in [
            "",
            " ",
            "0",
            "3",
            "3 ",
            "s",
            "-3s",
            "3s ago",
            "3x",
            "1e3s",
            "01:30:00",
            "18446744073709551615s 1000ms",
        ] {
            assert_eq!(duration(text), Err(NotADuration::Malformed), "{text:?}");
        }
        for text in ["1month", "1y", "P1M", "2 years 3s"] {
            assert_eq!(duration(text), Err(NotADuration::Calendar), "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_in_its_largest_units() {
        for (seconds, shown) in [(0, "0s"), (5400, "1h 30m"), (86_400, "1d"), (90_061, "1d 1h 1m 1s")] {
            assert_eq!(show(Duration::from_secs(seconds)), shown);
        }
        assert_eq!(show(Duration::from_millis(1500)), "1s 500ms");
        assert_eq!(show(Duration::from_secs(36_525 * 86_400)), "36525d");
    }

    proptest! {
        #[test]
        fn a_duration_that_is_shown_is_read_back(micros in 0..=u64::MAX / 1000) {
            let exact = Duration::from_micros(micros);
            prop_assert_eq!(duration(&show(exact)), Ok(exact));
        }

        #[test]
        fn no_text_panics(text in "([0-9]{1,20}(\\.[0-9]{0,12})?(ns|ms|s|m|h|d|w|y| |-|:|T|Z|.)){0,6}") {
            let _ = (duration(&text), past(&text), future(&text));
        }
    }
}
