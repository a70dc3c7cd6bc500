//! Log lines about a listener's clients. Clients that have not authenticated are summed up: the first event of a reason
//! is logged immediately, the others as one line per reason and window. An authenticated session gets lines of its own,
//! up to a rate limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{Level, log, warn};

use crate::access::Source;
use crate::address::Peer;
use crate::logging::{Pace, Sum, Sums};
use crate::stats::{Ended, Refused};

/// The window in which events of strangers are collected into one line per reason.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// Rate limit per id: sessions with lines of their own in a burst, and per second.
const OF_AN_ID: (f64, f64) = (4.0, 0.5);

/// The same limit for all ids of one source, because a site or a proxy may have many.
const OF_A_SOURCE: (f64, f64) = (1000.0, 100.0);

/// The extra cost to its source of a session that ends by its peer's fault. A sender of junk gets less than one line
/// per second, with any ids. One id alone cannot use up all lines of a site.
const FAULT: f64 = 150.0;

/// The name of a listener, and its log lines that are still pending. A clone is a handle to the same journal.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Pages>);

#[derive(Debug)]
struct Pages {
    listener: Arc<str>,
    refused: Sums<Source>,
    ended: Sums<Source>,
    ids: Pace,
    sources: Pace,
}

impl From<&str> for Journal {
    /// The journal of the listener with this name.
    fn from(listener: &str) -> Self {
        Self(Arc::new(Pages {
            listener: listener.into(),
            refused: Sums::default(),
            ended: Sums::default(),
            ids: Pace::new(OF_AN_ID.0, OF_AN_ID.1),
            sources: Pace::new(OF_A_SOURCE.0, OF_A_SOURCE.1),
        }))
    }
}

impl Journal {
    /// The name of the listener.
    pub fn listener(&self) -> &Arc<str> {
        &self.0.listener
    }

    /// A client was rejected.
    pub(super) fn refused(&self, reason: Refused, detail: &str, peer: Peer) {
        if self.0.refused.is_first(reason.name(), Level::Warn, source(peer), Instant::now()) {
            let detail = if detail.is_empty() { String::new() } else { format!(" detail={detail:?}") };
            warn!("refused listener={} peer={peer} reason={reason}{detail}", self.listener());
        }
    }

    /// Whether an authenticated session gets lines of its own: one at its start and one at its end.
    pub fn admits(&self, client: &str, peer: Peer) -> bool {
        let now = Instant::now();
        self.0.ids.admits(client, now) && self.0.sources.admits(source(peer), now)
    }

    /// A session with lines of its own ended by its peer's fault.
    pub fn blame(&self, peer: Peer) {
        self.0.sources.charge(source(peer), FAULT, Instant::now());
    }

    /// A session without lines of its own ended. Returns whether to log it nevertheless, as the first one for its
    /// reason.
    pub fn is_first(&self, reason: Ended, level: Level, peer: Peer) -> bool {
        self.0.ended.is_first(reason.name(), level, source(peer), Instant::now())
    }

    /// Logs the collected events. A listener calls it at the end of each window, a stopping server after the last
    /// session.
    pub fn summarise(&self) {
        let now = Instant::now();
        self.write("refused", self.0.refused.take(now));
        self.write("ended", self.0.ended.take(now));
    }

    fn write(&self, what: &str, sums: Vec<Sum>) {
        for Sum { level, text } in sums {
            log!(level, "{what} listener={} {text}", self.listener());
        }
    }
}

/// The party that limits and sums count a peer for.
fn source(peer: Peer) -> Source {
    match peer {
        Peer::Ip(address) => address.ip().into(),
        Peer::Unix { uid, .. } => Source::User(uid),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn admitted(journal: &Journal, ids: impl Iterator<Item = usize>, is_fault: bool) -> usize {
        let peer = SocketAddr::from(([192, 0, 2, 7], 7)).into();
        let session = |id: usize| {
            let admits = journal.admits(&id.to_string(), peer);
            if admits && is_fault {
                journal.blame(peer);
            }
            admits
        };
        ids.filter(|id| session(*id)).count()
    }

    #[test]
    fn one_id_gets_few_lines_and_a_site_gets_them_for_all_its_devices() {
        let journal = Journal::from("test");
        let flapping = admitted(&journal, std::iter::repeat_n(0, 100), false);
        assert!((4..100).contains(&flapping), "{flapping}");
        assert_eq!(admitted(&journal, 1..=500, false), 500);
    }

    #[test]
    fn a_sender_of_junk_gets_few_lines_whichever_ids_it_uses() {
        let journal = Journal::from("test");
        let junk = admitted(&journal, 0..10_000, true);
        assert!((6..100).contains(&junk), "{junk}");
    }
}
