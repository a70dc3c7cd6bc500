//! Times as they stand in a row.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, in microseconds since 1970, UTC. It is shown as RFC 3339 writes it, `2026-11-24T18:00:00.000000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The last moment that RFC 3339 can write: the end of the year 9999.
    const LAST: i64 = 253_402_300_799_999_999;
}

/// Before 1970 there is nothing, so that is 1970.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A row that somebody has changed may say anything: what cannot be written is shown as the nearest that can.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_1970 = Duration::from_micros(self.0.clamp(0, Self::LAST).unsigned_abs());
        humantime::format_rfc3339_micros(UNIX_EPOCH + since_1970).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_shown_as_a_time() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp(1_795_543_200_000_001).to_string(), "2026-11-24T18:00:00.000001Z");
        assert_eq!(Timestamp(Timestamp::LAST).to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), Timestamp(Timestamp::LAST).to_string());
        assert_eq!(Timestamp(i64::MIN).to_string(), Timestamp(0).to_string());
    }
}
