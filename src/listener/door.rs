//! Admission: the decision on one accepted socket.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::admitted::Admitted;
use super::exhaustion::Exhaustion;
use super::gate::Gate;
use super::handshake::Handshake;
use super::journal::Journal;
use super::options::Options;
use super::stream::Stream;
use super::tls::Loaded;
use crate::access::{Permits, Place, Places, Rules};
use crate::address::Peer;
use crate::stats::{Refused, Stats};

/// Starts a session on the calling thread. It only spawns: a listener never waits for a client.
pub type StartSession = Arc<dyn Fn(Stream, Admitted) + Send + Sync>;

/// The checks for new clients. The acceptors of a listener share them, and they outlive the acceptors.
pub(super) struct Door {
    pub(super) journal: Journal,
    pub(super) exhaustion: Exhaustion,
    pub(super) gate: Gate,
    rules: RwLock<Rules>,
    places: Places,
    /// Seconds; 0 is off.
    keepalive: AtomicU32,
    tls: RwLock<Option<Arc<Loaded>>>,
    /// The handshakes in progress.
    handshakes: Places,
    start_session: StartSession,
}

impl Door {
    pub(super) fn new(options: &Options, start_session: StartSession) -> Self {
        let places = Places::new(Permits::new(options.max_connections), options.max_unauthenticated);
        let door = Self {
            journal: options.name.as_str().into(),
            exhaustion: Exhaustion::default(),
            gate: Gate::default(),
            rules: RwLock::default(),
            places,
            keepalive: AtomicU32::new(0),
            tls: RwLock::default(),
            handshakes: Places::new(Permits::new(0), 0),
            start_session,
        };
        door.configure(options);
        door
    }

    /// New clients find these rules and limits. Those that are inside stay.
    pub(super) fn configure(&self, options: &Options) {
        self.rules.write().unwrap_or_else(PoisonError::into_inner).clone_from(&options.access);
        self.places.permits().set_max(options.max_connections);
        self.places.set_max_strangers(options.max_unauthenticated);
        let idle = options.socket.keepalive.map_or(0, |keepalive| keepalive.idle.as_secs());
        self.keepalive.store(u32::try_from(idle).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.renew(options.tls.clone());
    }

    pub(super) fn permits(&self) -> &Permits {
        self.places.permits()
    }

    /// The silence before a peer is probed, in seconds; 0 is off.
    pub(super) fn keepalive(&self) -> u32 {
        self.keepalive.load(Ordering::Relaxed)
    }

    /// New clients perform their handshake with this.
    pub(super) fn renew(&self, tls: Option<Arc<Loaded>>) {
        let most = tls.as_ref().map_or(0, |tls| tls.max_handshakes);
        self.handshakes.permits().set_max(most);
        self.handshakes.set_max_strangers(most);
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = tls;
    }

    /// Admits a client, or closes its socket.
    pub(super) fn open(self: &Arc<Self>, stream: Stream, peer: Peer, stats: &Arc<Stats>) {
        match self.admit(peer) {
            Ok(place) => self.enter(stream, peer, place, stats),
            Err(reason) => self.refuse(reason, "", peer, stats),
        }
    }

    fn enter(self: &Arc<Self>, stream: Stream, peer: Peer, place: Place, stats: &Arc<Stats>) {
        let stats = Arc::clone(stats);
        let (socket, loaded) = match (stream, self.tls()) {
            (Stream::Tcp(socket), Some(loaded)) => (socket, loaded),
            (stream, _) => {
                return self.start_session(stream, Admitted::new(peer, place, stats, self.journal.clone()));
            }
        };
        let Some(in_progress) = self.handshakes.enter() else {
            return self.refuse(Refused::CrowdedOut, "", peer, &stats);
        };
        let handshake = Handshake { door: Arc::clone(self), loaded, stats, peer, place, in_progress };
        actix_rt::spawn(handshake.run(socket));
    }

    pub(super) fn tls(&self) -> Option<Arc<Loaded>> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn start_session(&self, stream: Stream, admitted: Admitted) {
        (self.start_session)(stream, admitted);
    }

    pub(super) fn refuse(&self, reason: Refused, detail: &str, peer: Peer, stats: &Stats) {
        stats.refuse(reason);
        self.journal.refused(reason, detail, peer);
    }

    /// The rules are for IP addresses; the permissions of its file are the rules of a Unix socket.
    fn admit(&self, peer: Peer) -> Result<Place, Refused> {
        if let Peer::Ip(address) = peer
            && !self.rules.read().unwrap_or_else(PoisonError::into_inner).admits(address.ip())
        {
            return Err(Refused::Denied);
        }
        self.places.enter().ok_or(Refused::Full)
    }
}
