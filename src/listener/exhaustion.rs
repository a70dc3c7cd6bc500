//! A shortage of file descriptors or memory, in the log: one line when it begins and one when it ends. Failures of
//! other acceptors and short recoveries in between are not logged.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{info, warn};

/// The shortage is over after this long without a failure. Acceptors retry ten times as often, and an attempt fails
/// even without a client.
pub(super) const CALM: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Exhaustion(Mutex<Option<Episode>>);

#[derive(Clone, Copy, Debug)]
struct Episode {
    first: Instant,
    last: Instant,
}

impl Exhaustion {
    /// An acceptor failed and pauses.
    pub(super) fn note(&self, listener: &str, err: &io::Error) {
        if self.begins(Instant::now()) {
            warn!(
                "accepting pauses listener={listener} cause=\"{err}\": new connections wait; raise the open-file limit \
                 or lower max_connections"
            );
        }
    }

    /// Logs the end of the shortage, if it is over. Called every [`CALM`].
    pub(super) fn look(&self, listener: &str) {
        if let Some(after) = self.ended(Instant::now()) {
            info!("accepting again listener={listener} after={:.1}s", after.as_secs_f32());
        }
    }

    fn begins(&self, now: Instant) -> bool {
        let mut episode = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = episode.map_or(now, |episode| episode.first);
        episode.replace(Episode { first, last: now }).is_none()
    }

    fn ended(&self, now: Instant) -> Option<Duration> {
        let mut episode = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = episode.take_if(|episode| now.duration_since(episode.last) >= CALM)?;
        Some(over.last.duration_since(over.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_once_and_ends_after_a_calm() {
        let exhaustion = Exhaustion::default();
        let start = Instant::now();
        let at = |tenths: u32| start + CALM * tenths / 10;
        assert_eq!(exhaustion.ended(at(0)), None);
        assert!(exhaustion.begins(at(0)));
        assert!(!exhaustion.begins(at(9)));
        assert_eq!(exhaustion.ended(at(18)), None);
        assert_eq!(exhaustion.ended(at(19)), Some(CALM * 9 / 10));
        assert_eq!(exhaustion.ended(at(40)), None);
        assert!(exhaustion.begins(at(41)));
    }
}
