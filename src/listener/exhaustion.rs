//! Descriptors or memory that ran out, in the log: once when it begins, once when it is over, however many acceptors try
//! again meanwhile and however often one of them has luck.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{info, warn};

/// So long without a failure, and it is over. Acceptors try ten times as often, and fail without a client too.
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
                "accepting pauses listener={listener} cause=\"{err}\": new clients wait; raise the limit of open files \
                 or lower max_connections"
            );
        }
    }

    /// Says so if it is over; called every [`CALM`].
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
