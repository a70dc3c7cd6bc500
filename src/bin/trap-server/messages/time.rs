//! A time on the command line.

use std::time::SystemTime;

use trap_server::config::parse_time;
use trap_server::database::Timestamp;

/// A moment, a day's first moment, or so long ago. All of it is UTC.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let time = moment(text).or_else(|| moment(&format!("{text}T00:00:00Z"))).or_else(|| ago(text));
    time.map(Timestamp::from).ok_or_else(|| {
        "a time is 2026-11-24T18:00:00Z, 2026-11-24 18:00:00 or 2026-11-24, all UTC, or so long ago, such as 10m or 1h 30m"
            .into()
    })
}

fn moment(text: &str) -> Option<SystemTime> {
    // humantime takes any two digits for minutes.
    let is_minute = text.get(14..16).is_some_and(|minute| minute < "60");
    humantime::parse_rfc3339_weak(text).ok().filter(|_| is_minute)
}

fn ago(text: &str) -> Option<SystemTime> {
    SystemTime::now().checked_sub(parse_time(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_days_are_utc() {
        let shown = |text| parse(text).map(|time| time.to_string());
        for (text, time) in [
            ("2026-11-24T18:00:00Z", "2026-11-24T18:00:00.000000Z"),
            ("2026-11-24T18:00:00+00:00", "2026-11-24T18:00:00.000000Z"),
            ("2026-11-24 18:00:00", "2026-11-24T18:00:00.000000Z"),
            ("2026-11-24T18:00:00.123456789Z", "2026-11-24T18:00:00.123456Z"),
            ("2026-11-24", "2026-11-24T00:00:00.000000Z"),
        ] {
            assert_eq!(shown(text), Ok(time.into()), "{text}");
        }
    }

    #[test]
    fn a_span_is_so_long_ago() {
        for (text, micros) in [("10m", 600_000_000), ("1h 30m", 5_400_000_000), ("90 s", 90_000_000)] {
            let before = Timestamp::from(SystemTime::now()).0;
            let ago = parse(text).unwrap().0 + micros;
            assert!((before..=Timestamp::from(SystemTime::now()).0).contains(&ago), "{text}");
        }
        assert_eq!(parse("1000y"), Ok(Timestamp(0)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "10",
            "now",
            "-10m",
            "18:00",
            "2026-11-31",
            "2026-11-24 18:75:00",
            "2026-11-24 18:00",
            "2026-11-24T18:00:00+01:00",
            "2026-1é-24",
            "18446744073709551615s 1000000000ns",
        ] {
            assert!(parse(text).unwrap_err().contains("2026-11-24"), "{text}");
        }
    }
}
