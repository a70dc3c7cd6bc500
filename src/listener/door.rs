//! Admission: the decision on one accepted socket.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::exhaustion::Exhaustion;
use super::journal::Journal;
use super::socket::canonical;
use super::stream::Stream;
use crate::access::{Place, Places, Rules};
use crate::stats::{Refused, Stats};

/// An admitted client.
#[derive(Debug)]
pub struct Connection {
    /// Its byte stream.
    pub stream: Stream,
    /// Its address; an IPv4-mapped IPv6 address as the IPv4 address that it is, a link-local one with its zone.
    pub peer: SocketAddr,
    /// The listener that accepted it, and its part of the log.
    pub listener: Journal,
    /// Its place among the listener's `max_connections`; dropping it frees the place. Until [`Place::settle`] is
    /// called, the client is a stranger and may lose the place to another one.
    pub place: Place,
}

/// Starts a session on the calling thread. It only spawns: a listener never waits for a client.
pub type StartSession = Arc<dyn Fn(Connection) + Send + Sync>;

/// The checks for new clients. The acceptors of a listener share them, and they outlive the acceptors.
pub struct Door {
    pub(super) journal: Journal,
    pub(super) exhaustion: Exhaustion,
    rules: Rules,
    places: Places,
    start_session: StartSession,
}

impl Door {
    /// The door of the listener with this name or journal. `rules` define the admitted addresses, `places` the maximum
    /// number of connections, and `start_session` starts the session of an admitted client.
    pub fn new(
        listener: impl Into<Journal>,
        rules: Rules,
        places: Places,
        start_session: StartSession,
    ) -> Self {
        Self { journal: listener.into(), exhaustion: Exhaustion::default(), rules, places, start_session }
    }

    /// Admits a client, or closes its socket.
    pub(super) fn open(&self, stream: TcpStream, peer: SocketAddr, stats: &Stats) {
        let peer = canonical(peer);
        match self.admit(peer) {
            Ok(place) => {
                stats.accepted.one();
                let listener = self.journal.clone();
                (self.start_session)(Connection { stream: Stream::Tcp(stream), peer, listener, place });
            }
            Err(reason) => {
                stats.refuse(reason);
                self.journal.refused(reason, peer);
            }
        }
    }

    fn admit(&self, peer: SocketAddr) -> Result<Place, Refused> {
        if !self.rules.admits(peer.ip()) {
            return Err(Refused::Denied);
        }
        self.places.enter().ok_or(Refused::Full)
    }
}
