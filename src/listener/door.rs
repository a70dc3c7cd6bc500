//! Who is let in: the decision over one accepted socket.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::exhaustion::Exhaustion;
use super::refusals::Refusals;
use super::socket::canonical;
use super::stream::Stream;
use crate::access::{Permit, Permits, Rules};
use crate::stats::{Refused, Stats};

/// A client that was let in.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes.
    pub stream: Stream,
    /// Its address; an IPv4-mapped IPv6 address as the IPv4 address that it is, a link-local one with its zone.
    pub peer: SocketAddr,
    /// The name of the listener that took it.
    pub listener: Arc<str>,
    /// Its place among the listener's `max_connections`, free again when this is dropped.
    pub permit: Permit,
}

/// Starts a session on the thread that it is called on. It only spawns: a listener does not wait for a client.
pub type StartSession = Arc<dyn Fn(Connection) + Send + Sync>;

/// What a client must pass; shared by the acceptors of a listener, and outliving them.
pub struct Door {
    pub(super) listener: Arc<str>,
    pub(super) refusals: Refusals,
    pub(super) exhaustion: Exhaustion,
    rules: Rules,
    permits: Permits,
    start_session: StartSession,
}

impl Door {
    /// The door of the listener of this name: `rules` say which addresses are admitted, `permits` how many may be inside,
    /// and `start_session` makes something of those who are.
    pub fn new(listener: &str, rules: Rules, permits: Permits, start_session: StartSession) -> Self {
        let (refusals, exhaustion) = (Refusals::default(), Exhaustion::default());
        Self { listener: listener.into(), refusals, exhaustion, rules, permits, start_session }
    }

    /// Lets a client in, or closes its socket.
    pub(super) fn open(&self, stream: TcpStream, peer: SocketAddr, stats: &Stats) {
        let peer = canonical(peer);
        match self.admit(peer) {
            Ok(permit) => {
                stats.accepted.one();
                let listener = Arc::clone(&self.listener);
                (self.start_session)(Connection { stream: Stream::Tcp(stream), peer, listener, permit });
            }
            Err(reason) => {
                stats.refuse(reason);
                self.refusals.note(&self.listener, reason, peer);
            }
        }
    }

    fn admit(&self, peer: SocketAddr) -> Result<Permit, Refused> {
        if !self.rules.admits(peer.ip()) {
            return Err(Refused::Denied);
        }
        self.permits.try_acquire().ok_or(Refused::Full)
    }
}
