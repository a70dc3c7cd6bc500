//! The cleanup and the last log line of a session, at any kind of end.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use log::{Level, debug, log};

use super::crash::Report;
use super::host::Host;
use super::roll::Moment;
use crate::address::Peer;
use crate::listener::Admitted;
use crate::protocol::ClientId;
use crate::registry::{Claim, Registration};
use crate::stats::{Ended, Stats};
use crate::store::Fence;

/// The log target of these lines.
const TARGET: &str = "trap_server::session";

/// The identity and the resources of a session: its place, its row of the registry, its part of the counts. Dropping it
/// releases all of them and writes the session's last line, also after a panic.
pub(super) struct Guard {
    pub(super) frames: u64,
    listed: Option<u32>,
    since: Moment,
    /// Whether the session gets lines of its own, see [`Journal::admits`](crate::listener::Journal::admits).
    logged: bool,
    /// Apart, so that the task of a session stays small, see [`Session`](super::Session).
    details: Box<Details>,
    // Last: once the count of open sessions is zero, all resources are released.
    pub(super) host: Open,
}

/// The shared state of the thread, for a session that is counted as open until this is dropped.
pub(super) struct Open(Rc<Host>);

impl Open {
    fn new(host: Rc<Host>) -> Self {
        host.setup.open.enter();
        Self(host)
    }
}

impl Deref for Open {
    type Target = Rc<Host>;

    fn deref(&self) -> &Rc<Host> {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.setup.open.leave();
    }
}

struct Details {
    admitted: Admitted,
    registration: Option<Registration>,
    end: Option<Box<End>>,
}

struct End {
    reason: Ended,
    detail: Detail,
    /// The stated id, if the session did not get it.
    client: Option<ClientId>,
}

impl End {
    fn of(reason: Ended, detail: impl Into<String>) -> Box<Self> {
        Box::new(Self { reason, detail: Detail::Text(detail.into()), client: None })
    }
}

impl Guard {
    pub(super) fn new(host: Rc<Host>, admitted: Admitted) -> Self {
        let host = Open::new(host);
        host.roll.new_turn();
        let since = host.roll.now();
        debug!(target: TARGET, "connected listener={} peer={}", admitted.listener(), admitted.peer());
        let details = Box::new(Details { admitted, registration: None, end: None });
        Self { frames: 0, listed: None, since, logged: false, details, host }
    }

    /// The peer.
    pub(super) fn peer(&self) -> Peer {
        self.details.admitted.peer()
    }

    /// The counters of the session's listener on this thread.
    pub(super) fn stats(&self) -> &Stats {
        self.details.admitted.stats()
    }

    /// Adds the session to those that a stopping server wakes up.
    pub(super) fn list(&mut self, session: &Waker) {
        if self.listed.is_none() {
            self.listed = self.host.roll.list(session);
        }
    }

    /// Its number on the roll of its thread.
    pub(super) const fn listed(&self) -> Option<u32> {
        self.listed
    }

    /// The time since the session began.
    pub(super) fn age(&self) -> Duration {
        // The session may have been cut off long after its last turn.
        self.host.roll.new_turn();
        self.host.roll.since(self.since)
    }

    /// Sets the wake-up time of the session.
    pub(super) fn wake_at(&self, moment: Moment) {
        self.listed.iter().for_each(|listed| self.host.roll.wake_at(*listed, moment));
    }

    /// Whether the session, still a stranger, has lost its place to another connection.
    pub(super) fn is_crowded_out(&self, session: &Waker) -> bool {
        self.details.admitted.is_lost(session)
    }

    /// The peer has sent something.
    pub(super) fn heard(&mut self) {
        self.details.admitted.heard();
    }

    /// The peer has stated its id; the look-up runs.
    pub(super) fn looks_up(&mut self) {
        self.details.admitted.says_who();
    }

    pub(super) fn authenticated(&mut self, registration: Registration) {
        let admitted = &mut self.details.admitted;
        admitted.settle();
        admitted.stats().authenticated.one();
        let (listener, peer) = (admitted.listener(), admitted.peer());
        let client = registration.claim().client().as_str();
        self.logged = admitted.journal().admits(client, peer);
        let level = if self.logged { Level::Info } else { Level::Debug };
        log!(target: TARGET, level, "authenticated listener={listener} peer={peer} client={client:?}");
        self.details.registration = Some(registration);
    }

    /// The peer has closed, and may reconnect before its last answer.
    pub(super) fn leaves(&self) {
        self.details.registration.iter().for_each(Registration::leaves);
    }

    /// The claim to the id. A one-shot has none.
    fn claim(&self) -> Option<&Claim> {
        self.details.registration.as_ref().map(Registration::claim)
    }

    /// The peer of the newer session that owns the id, if any.
    pub(super) fn replaced_by(&self) -> Option<Peer> {
        self.claim().and_then(Claim::replaced_by)
    }

    /// Does `effect` unless a newer session has the id of this one, see [`Claim::while_current`].
    pub(super) fn while_current<R>(&self, effect: impl FnOnce() -> R) -> Option<R> {
        match self.claim() {
            Some(claim) => claim.while_current(effect),
            // A one-shot has no row, and nobody to be replaced by.
            None => Some(effect()),
        }
    }

    /// The right of this session to its id, for the store to check.
    pub(super) fn fence(&self) -> Option<Arc<dyn Fence>> {
        self.claim().map(|claim| claim.row() as Arc<dyn Fence>)
    }

    /// The name of the listener that took the connection.
    pub(super) fn listener(&self) -> &Arc<str> {
        self.details.admitted.listener()
    }

    pub(super) fn client(&self) -> Option<&ClientId> {
        self.claim().map(Claim::client)
    }

    /// Removes the row from the registry: the session sends nothing more, and another session may take the id.
    pub(super) fn sign_off(&mut self) {
        if self.details.registration.as_ref().is_some_and(Registration::take_down) {
            self.stats().signed_off.one();
        }
    }

    /// Sets the reason for the end. The first reason counts.
    pub(super) fn ends(&mut self, reason: Ended, detail: String) {
        self.details.end.get_or_insert_with(|| End::of(reason, detail));
    }

    /// Sets the id in the last line: a rejected id, or the sender of a one-shot.
    pub(super) fn ends_for(&mut self, client: ClientId) {
        if let Some(end) = &mut self.details.end {
            end.client = Some(client);
        }
    }

    /// The session panicked, whatever else was about to end it. `client` is an id whose look-up runs.
    pub(super) fn crashes(&mut self, report: Report, client: Option<ClientId>) {
        let (reason, detail) = (Ended::Crashed, Detail::Crash(report));
        self.details.end = Some(Box::new(End { reason, detail, client }));
    }

    /// Whether the end gets a line of its own, or is the first of its kind without one. All other ends are counted, and
    /// the journal sums them up.
    fn is_logged(&self, end: &End) -> bool {
        let (reason, level) = (end.reason, level(end.reason));
        match self.known(end) {
            None if is_probe(reason) => {
                self.stats().probes.one();
                false
            }
            Some(client) if self.has_a_line(client, level) => true,
            _ => self.details.admitted.journal().is_first(reason, level, self.peer()),
        }
    }

    /// The id of an authenticated session.
    fn known<'a>(&'a self, end: &'a End) -> Option<&'a str> {
        let one_shot = end.client.as_ref().map(ClientId::as_str).filter(|_| end.reason == Ended::OneShot);
        self.client().map(ClientId::as_str).or(one_shot)
    }

    /// Whether the end of a session of `client` gets a line of its own. A line about a mistake costs its source more.
    fn has_a_line(&self, client: &str, level: Level) -> bool {
        let has_one = self.logged || self.details.admitted.journal().admits(client, self.peer());
        if has_one && level <= Level::Warn {
            self.details.admitted.journal().blame(self.peer());
        }
        has_one
    }

    fn say_goodbye(&self, end: &End) {
        let level = if self.is_logged(end) { level(end.reason) } else { Level::Debug };
        let (listener, peer, frames) = (self.listener(), self.peer(), self.frames);
        let client = self.client().or(end.client.as_ref()).map(ClientId::as_str).unwrap_or_default();
        let End { reason, detail, .. } = end;
        log!(
            target: TARGET,
            level,
            "ended reason={reason} listener={listener} peer={peer} client={client:?} age={:.1}s frames={frames}{detail}",
            self.age().as_secs_f32()
        );
    }
}

/// The rest of a last line, if any.
enum Detail {
    Text(String),
    Crash(Report),
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) if text.is_empty() => Ok(()),
            Self::Text(text) => write!(f, " detail={text:?}"),
            Self::Crash(report) => write!(f, " {report}"),
        }
    }
}

/// A peer that made no mistake and did not authenticate. Port checks do this, with any kind of close.
const fn is_probe(reason: Ended) -> bool {
    matches!(reason, Ended::PeerClosed | Ended::Reset)
}

/// The log level: normal ends are routine, a device's mistake is a warning, and a server's fault is an error.
const fn level(reason: Ended) -> Level {
    match reason {
        Ended::Crashed => Level::Error,
        Ended::AuthFailure
        | Ended::AuthTimeout
        | Ended::FrameTimeout
        | Ended::WriteTimeout
        | Ended::ProtocolError
        | Ended::SocketError => Level::Warn,
        Ended::PeerClosed
        | Ended::Truncated
        | Ended::Reset
        | Ended::Vanished
        | Ended::IdleTimeout
        | Ended::OneShot
        | Ended::Takeover
        | Ended::CrowdedOut
        | Ended::Closed
        | Ended::Drained
        | Ended::Shutdown => Level::Info,
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let end = match self.details.end.take() {
            Some(end) if end.reason == Ended::Crashed || !std::thread::panicking() => end,
            // A stop does not wait for it any longer.
            None if self.host.stopping() && !std::thread::panicking() => End::of(Ended::Shutdown, "cut off"),
            // Outside of its turns.
            _ => End::of(Ended::Crashed, ""),
        };
        self.say_goodbye(&end);
        self.sign_off();
        self.details.admitted.ended(end.reason);
        if let Some(listed) = self.listed {
            self.host.roll.strike_off(listed);
            self.host.calls.strike_off(listed);
        }
    }
}

// With the 8 bytes of the allocator it takes 128; one more would take 144.
const _: () = assert!(size_of::<Details>() <= 120);
