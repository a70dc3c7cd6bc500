//! Admission: the decision on one accepted socket.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::time::sleep_until;

use super::admitted::Admitted;
use super::exhaustion::Exhaustion;
use super::gate::Gate;
use super::handshake::Handshake;
use super::journal::Journal;
use super::limits::{REFUSALS, SharedLimits};
use super::options::Options;
use super::queue::Queue;
use super::stream::Stream;
use super::tls::Loaded;
use crate::access::{Excess, Permits, Place, Places, Rate, Refusal, Rules, Sources, Turn, Visit};
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
    sources: Sources,
    rate: RwLock<Option<(Rate, Excess)>>,
    refusals: Rate,
    shared: SharedLimits,
    /// Seconds; 0 is off.
    keepalive: AtomicU32,
    tls: RwLock<Option<Arc<Loaded>>>,
    /// The handshakes in progress.
    handshakes: Places,
    start_session: StartSession,
}

impl Door {
    pub(super) fn new(options: &Options, shared: SharedLimits, start_session: StartSession) -> Self {
        let permits = Permits::new(options.max_connections);
        let places = Places::within(shared.places.clone(), permits, options.max_unauthenticated);
        let door = Self {
            journal: options.name.as_str().into(),
            exhaustion: Exhaustion::default(),
            gate: Gate::default(),
            rules: RwLock::default(),
            places,
            sources: Sources::new(options.sources),
            rate: RwLock::default(),
            refusals: Rate::new(REFUSALS.per_second, REFUSALS.burst),
            shared,
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
        self.set_rates(options, Instant::now());
        let idle = options.socket.keepalive.map_or(0, |keepalive| keepalive.idle.as_secs());
        self.keepalive.store(u32::try_from(idle).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.renew(options.tls.clone());
    }

    fn set_rates(&self, options: &Options, now: Instant) {
        self.sources.set(options.sources, now);
        let rate = options.rate.as_ref().map(|rate| {
            let name = rate.shared.clone().unwrap_or_else(|| format!("listener {}", options.name));
            (self.shared.rate(&name, rate.limit, now), rate.excess)
        });
        *self.rate.write().unwrap_or_else(PoisonError::into_inner) = rate;
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

    pub(super) fn tls(&self) -> Option<Arc<Loaded>> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Admits a client, or closes its socket. A client beyond the rate waits here, and all behind it in the backlog.
    pub(super) async fn open(
        self: &Arc<Self>,
        stream: Stream,
        peer: Peer,
        stats: &Arc<Stats>,
        queue: &mut Queue,
    ) {
        match self.admit(&stream, peer, queue).await {
            Ok((place, visit)) => self.enter(stream, peer, place, visit, stats),
            Err(reason) => {
                self.refuse(reason, "", peer, stats);
                drop(stream);
                self.pause_refusals().await;
            }
        }
    }

    /// Starts the session, or what comes before it.
    fn enter(self: &Arc<Self>, stream: Stream, peer: Peer, place: Place, visit: Visit, stats: &Arc<Stats>) {
        let stats = Arc::clone(stats);
        let (socket, loaded) = match (stream, self.tls()) {
            (Stream::Tcp(socket), Some(loaded)) => (socket, loaded),
            (stream, _) => {
                let admitted = Admitted::new(peer, place, stats, self.journal.clone());
                return self.start_session(stream, admitted.visiting(visit));
            }
        };
        let Some(in_progress) = self.handshakes.enter() else {
            return self.refuse(Refused::CrowdedOut, "", peer, &stats);
        };
        let handshake = Handshake { door: Arc::clone(self), loaded, stats, peer, place, visit, in_progress };
        actix_rt::spawn(handshake.run(socket));
    }

    pub(super) fn start_session(&self, stream: Stream, admitted: Admitted) {
        (self.start_session)(stream, admitted);
    }

    pub(super) fn refuse(&self, reason: Refused, detail: &str, peer: Peer, stats: &Stats) {
        stats.refuse(reason);
        // A client that is gone is nobody's mistake.
        if reason != Refused::Gone {
            self.journal.refused(reason, detail, peer);
        }
    }

    /// In this order: a rejected client takes nothing of the limits behind the one that rejects it.
    async fn admit(&self, stream: &Stream, peer: Peer, queue: &mut Queue) -> Result<(Place, Visit), Refused> {
        // The rules are for IP addresses; the permissions of its file are the rules of a Unix socket.
        if let Peer::Ip(address) = peer
            && !self.admits(address.ip())
        {
            return Err(Refused::Denied);
        }
        let rate = self.rate();
        if (rate.is_some() || self.sources.is_limited()) && stream.is_gone() {
            return Err(Refused::Gone);
        }
        let visit = match peer {
            Peer::Ip(address) => self.sources.enter(address.ip(), Instant::now()).map_err(refused)?,
            Peer::Unix { .. } => Visit::none(),
        };
        let turn = match rate {
            Some((rate, excess)) => Some(turn(&rate, excess, queue).await?),
            None => None,
        };
        let has_waited = turn.as_ref().is_some_and(|turn| turn.due().is_some());
        if has_waited && stream.is_gone() {
            visit.give_back_token();
            return Err(Refused::Gone);
        }
        let place = self.places.enter_with(turn).ok_or_else(|| self.full())?;
        Ok((place, visit))
    }

    fn admits(&self, address: IpAddr) -> bool {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).admits(address)
    }

    fn rate(&self) -> Option<(Rate, Excess)> {
        self.rate.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which limit has no place.
    fn full(&self) -> Refused {
        let places = &self.shared.places;
        if places.in_use() >= places.max() { Refused::ServerFull } else { Refused::Full }
    }

    /// Refusing takes no more than a part of a processor.
    async fn pause_refusals(&self) {
        let turn = self.refusals.reserve(Instant::now());
        let due = turn.due();
        turn.spend();
        if let Some(due) = due {
            sleep_until(due.into()).await;
        }
    }
}

const fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::TooMany => Refused::SourceFull,
        Refusal::TooFast => Refused::SourceRate,
    }
}

/// A turn of this rate that is due.
async fn turn(rate: &Rate, excess: Excess, queue: &mut Queue) -> Result<Turn, Refused> {
    match excess {
        Excess::Refuse => rate.try_now(Instant::now()).ok_or(Refused::Rate),
        Excess::Wait => {
            let turn = rate.reserve(queue.since(Instant::now()));
            if let Some(due) = turn.due() {
                sleep_until(due.into()).await;
            }
            queue.waited(turn.due());
            Ok(turn)
        }
    }
}
