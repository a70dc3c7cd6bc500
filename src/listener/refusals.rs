//! Refused clients in the log: the first at once, the rest as one line for a while, however many they are.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::warn;

use crate::stats::Refused;

/// How long refusals are collected into one line.
pub(super) const SUMMARY_EVERY: Duration = Duration::from_secs(10);

/// The clients that a listener turned away since it last said so.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    /// Whether the first was logged, and the rest is being collected.
    collecting: bool,
    counts: [u64; Refused::ALL.len()],
    last: Option<SocketAddr>,
}

impl Refusals {
    pub(super) fn note(&self, listener: &str, reason: Refused, peer: SocketAddr) {
        let mut recent = self.recent();
        if !recent.collecting {
            recent.collecting = true;
            drop(recent);
            warn!("refused listener={listener} peer={peer} reason={reason}");
            return;
        }
        recent.counts.get_mut(reason as usize).into_iter().for_each(|count| *count += 1);
        recent.last = Some(peer);
    }

    /// Logs what was collected; called every [`SUMMARY_EVERY`].
    pub(super) fn summarise(&self, listener: &str) {
        if let Some(summary) = std::mem::take(&mut *self.recent()).summary() {
            warn!("refused listener={listener} {summary}");
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn summary(&self) -> Option<String> {
        let last = self.last?;
        let counts = Refused::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts.map(|(reason, count)| format!("{reason}={count}")).collect();
        let within = SUMMARY_EVERY.as_secs();
        Some(format!("more within {within}s: {} last_peer={last}", counts.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_not_counted_again_and_the_rest_is_one_line() {
        let refusals = Refusals::default();
        let peer = |port| SocketAddr::from(([127, 0, 0, 1], port));
        refusals.note("trap", Refused::Full, peer(1));
        assert_eq!(refusals.recent().summary(), None);
        refusals.note("trap", Refused::Full, peer(2));
        refusals.note("trap", Refused::Denied, peer(3));
        refusals.note("trap", Refused::Full, peer(4));
        assert_eq!(
            refusals.recent().summary().as_deref(),
            Some("more within 10s: denied=1 full=2 last_peer=127.0.0.1:4")
        );
        refusals.summarise("trap");
        assert_eq!(refusals.recent().summary(), None);
        assert!(!refusals.recent().collecting);
    }
}
