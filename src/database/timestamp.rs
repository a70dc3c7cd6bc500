//! Times as they stand in a row.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A moment, in microseconds since 1970, UTC. It is shown as RFC 3339 writes it, `2026-11-24T18:00:00.000000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The last moment that is shown: the end of the year 9999 in the time zone that is furthest behind.
    const LAST: i64 = 253_402_207_200_999_999;
}

/// Before 1970 there is nothing, so that is 1970.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Before 1970 there is nothing, so that is 1970.
impl From<Timestamp> for SystemTime {
    fn from(Timestamp(micros): Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    }
}

impl Timestamp {
    /// Now.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Shows it to the second.
    pub fn seconds(self) -> impl fmt::Display {
        format!("{:.0}", self.writable())
    }

    /// A row that was changed by hand may contain any number: one out of range is shown as the nearest time in range.
    fn writable(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0.clamp(0, Self::LAST)).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.writable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_shown_as_a_time() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp(1_795_543_200_000_001).to_string(), "2026-11-24T18:00:00.000001Z");
        assert_eq!(Timestamp(Timestamp::LAST).to_string(), "9999-12-30T22:00:00.999999Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), Timestamp(Timestamp::LAST).to_string());
        assert_eq!(Timestamp(i64::MIN).to_string(), Timestamp(0).to_string());
        assert_eq!(Timestamp(i64::MAX).seconds().to_string(), "9999-12-30T22:00:00Z");
    }

    #[test]
    fn a_time_comes_back_from_a_row() {
        for micros in [0, 1, i64::MAX] {
            assert_eq!(Timestamp::from(SystemTime::from(Timestamp(micros))), Timestamp(micros));
        }
        assert_eq!(SystemTime::from(Timestamp(-1)), UNIX_EPOCH);
    }
}
