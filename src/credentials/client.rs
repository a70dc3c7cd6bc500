//! What stands in a database of an id.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::format_rfc3339_seconds;

use super::Denied;

/// The last second that RFC 3339 can write: 9999-12-31T23:59:59Z, in seconds since 1970.
const LAST: u64 = 253_402_300_799;

/// An id with all that stands of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The id; whoever changes a database by hand may have written something that is none.
    pub id: String,
    /// Whether and until when it may authenticate.
    pub standing: Standing,
    /// The operator's.
    pub note: String,
    /// Since when it stands there.
    pub created_at: SystemTime,
}

/// Whether and until when an id may authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it may at all.
    pub enabled: bool,
    /// From when on it may not any more.
    pub expires_at: Option<SystemTime>,
}

impl Standing {
    /// Whether the id may authenticate at `now`.
    pub fn check(&self, now: SystemTime) -> Result<(), Denied> {
        match self.expires_at {
            _ if !self.enabled => Err(Denied::Disabled),
            Some(at) if at <= now => Err(Denied::Expired { at: stamp(at) }),
            _ => Ok(()),
        }
    }
}

/// A time in UTC, to the second; what is later than the year 9999 is the end of it.
pub fn stamp(time: SystemTime) -> String {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let last = Duration::from_secs(LAST);
    format_rfc3339_seconds(UNIX_EPOCH + since_1970.min(last)).to_string()
}

/// Microseconds since 1970, UTC.
pub(super) fn micros(time: SystemTime) -> i64 {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX)
}

/// The time of so many microseconds since 1970; what is before that is 1970.
pub(super) fn time(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_while_it_is_enabled_and_until_it_expires() {
        let (at, second) = (time(1_798_675_200_000_000), Duration::from_secs(1));
        let check = |enabled, now| Standing { enabled, expires_at: Some(at) }.check(now);
        assert_eq!(check(true, at - second), Ok(()));
        assert_eq!(check(true, at), Err(Denied::Expired { at: "2026-12-31T00:00:00Z".into() }));
        assert_eq!(check(false, at - second), Err(Denied::Disabled));
        assert_eq!(Standing { enabled: true, expires_at: None }.check(at), Ok(()));
    }

    #[test]
    fn every_number_of_a_database_is_a_time_that_can_be_written() {
        assert_eq!(stamp(time(i64::MIN)), "1970-01-01T00:00:00Z");
        assert_eq!(stamp(time(i64::MAX)), "9999-12-31T23:59:59Z");
        assert_eq!([0, 1, i64::MAX].map(|number| micros(time(number))), [0, 1, i64::MAX]);
    }
}
