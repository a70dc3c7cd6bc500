//! Warnings before certificates expire: 30, 7 and 1 days before, and after. Pure: the time is an argument.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Days before the end at which there is a warning, the least first.
const WARNINGS: [i64; 4] = [0, 1, 7, 30];

const DAY: i64 = 24 * 60 * 60;

/// The warnings that have been given, by listener and file.
#[derive(Debug, Default)]
pub(super) struct Expiry(HashMap<(String, PathBuf), (SystemTime, i64)>);

impl Expiry {
    /// The days that are left, if it is time for a warning that has not been given yet. A certificate with another end is
    /// a new one.
    pub(super) fn due(
        &mut self,
        listener: &str,
        file: &Path,
        until: SystemTime,
        now: SystemTime,
    ) -> Option<i64> {
        let left = days_left(until, now);
        let key = (listener.to_owned(), file.to_owned());
        let warning = WARNINGS.into_iter().find(|days| left <= *days && (*days > 0 || left < 0));
        let Some(warning) = warning else {
            self.0.remove(&key);
            return None;
        };
        let given = self.0.insert(key, (until, warning));
        (given != Some((until, warning))).then_some(left)
    }
}

/// Whole days that are left, rounded down; negative after the end.
pub(super) fn days_left(until: SystemTime, now: SystemTime) -> i64 {
    let seconds = match until.duration_since(now) {
        Ok(left) => i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        Err(over) => -i64::try_from(over.duration().as_secs()).unwrap_or(i64::MAX).max(1),
    };
    seconds.div_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_warning_comes_once_and_a_new_certificate_begins_again() {
        let (start, file) = (SystemTime::UNIX_EPOCH, Path::new("a.pem"));
        let at = |days: u64| start + Duration::from_secs(days * DAY.unsigned_abs());
        let mut expiry = Expiry::default();
        let mut given = Vec::new();
        for hour in 0..103 * 24 {
            let now = start + Duration::from_secs(hour * 60 * 60);
            given.extend(expiry.due("trap", file, at(100), now).map(|left| (hour / 24, left)));
        }
        assert_eq!(given, [(69, 30), (92, 7), (98, 1), (100, -1)]);
        assert_eq!(expiry.due("trap", file, at(200), at(103)), None);
        assert_eq!(expiry.due("trap", file, at(110), at(103)), Some(7));
        assert_eq!(expiry.due("trap", file, at(109), at(103)), Some(6));
        assert_eq!(expiry.due("other", file, at(109), at(103)), Some(6));
        assert_eq!(expiry.due("other", file, at(109), at(103)), None);
    }
}
