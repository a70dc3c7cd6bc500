//! Instants as nanoseconds since the first of them.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The first instant that was given, from which all others are counted.
#[derive(Debug, Default)]
pub(super) struct Epoch(OnceLock<Instant>);

impl Epoch {
    /// The nanoseconds from the first instant to this one; 0 for an earlier one.
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(*self.0.get_or_init(|| now));
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant this many nanoseconds after the first one. `None` if there is none yet.
    pub(super) fn instant(&self, nanos: u64) -> Option<Instant> {
        self.0.get()?.checked_add(Duration::from_nanos(nanos))
    }
}
