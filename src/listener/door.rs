//! Who is let in: the decision over one accepted socket.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::exhaustion::Exhaustion;
use super::journal::Journal;
use super::socket::canonical;
use super::stream::Stream;
use crate::access::{Place, Places, Rules};
use crate::stats::{Refused, Stats};

/// A client that was let in.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes.
    pub stream: Stream,
    /// Its address; an IPv4-mapped IPv6 address as the IPv4 address that it is, a link-local one with its zone.
    pub peer: SocketAddr,
    /// The listener that took it, and its part of the log.
    pub listener: Journal,
    /// Its place among the listener's `max_connections`, free again when this is dropped. It is a stranger's, and may be lost
    /// to another one, until [`Place::settle`] is called.
    pub place: Place,
}

/// Starts a session on the thread that it is called on. It only spawns: a listener does not wait for a client.
pub type StartSession = Arc<dyn Fn(Connection) + Send + Sync>;

/// What a client must pass; shared by the acceptors of a listener, and outliving them.
pub struct Door {
    pub(super) journal: Journal,
    pub(super) exhaustion: Exhaustion,
    rules: Rules,
    places: Places,
    start_session: StartSession,
}

impl Door {
    /// The door of the listener of this name or journal: `rules` say which addresses are admitted, `places` how many may
    /// be inside, and `start_session` makes something of those who are.
    pub fn new(
        listener: impl Into<Journal>,
        rules: Rules,
        places: Places,
        start_session: StartSession,
    ) -> Self {
        Self { journal: listener.into(), exhaustion: Exhaustion::default(), rules, places, start_session }
    }

    /// Lets a client in, or closes its socket.
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
