//! What must be undone and said when a session ends, however it ends.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use log::{Level, info, log};

use super::host::Host;
use crate::access::Permit;
use crate::protocol::ClientId;
use crate::registry::Registration;
use crate::stats::Ended;

/// Whose lines these are, to a reader of the log.
const TARGET: &str = "trap_server::session";

/// Who a session is, and what it holds: its permit, its row of the registry, its place in the counts. Dropped, it gives all
/// of it back and writes the session's last line, after a panic too.
pub(super) struct Guard {
    pub(super) host: Rc<Host>,
    pub(super) listener: Arc<str>,
    pub(super) peer: SocketAddr,
    pub(super) frames: u64,
    registration: Option<Registration>,
    listed: Option<u32>,
    since: Instant,
    end: Option<Box<End>>,
    permit: Option<Permit>,
}

struct End {
    reason: Ended,
    detail: String,
}

impl Guard {
    pub(super) fn new(host: Rc<Host>, listener: Arc<str>, peer: SocketAddr, permit: Permit) -> Self {
        host.setup.open.enter();
        info!(target: TARGET, "connected listener={listener} peer={peer}");
        Self {
            host,
            listener,
            peer,
            frames: 0,
            registration: None,
            listed: None,
            since: Instant::now(),
            end: None,
            permit: Some(permit),
        }
    }

    /// Lists the session among those that are woken when the server stops.
    pub(super) fn list(&mut self, session: &Waker) {
        if self.listed.is_none() {
            self.listed = self.host.list(session);
        }
    }

    pub(super) fn authenticated(&mut self, registration: Registration) {
        self.host.setup.stats.authenticated.one();
        let client = registration.client().as_str();
        info!(target: TARGET, "authenticated listener={} peer={} client={client:?}", self.listener, self.peer);
        self.registration = Some(registration);
    }

    pub(super) fn client(&self) -> Option<&ClientId> {
        self.registration.as_ref().map(Registration::client)
    }

    /// Takes the row of the registry down: the session has said all that it will say, and another one may have the id.
    pub(super) fn sign_off(&mut self) {
        if self.registration.as_mut().is_some_and(Registration::take_down) {
            self.host.setup.stats.signed_off.one();
        }
    }

    /// Why the session ends. The first reason counts.
    pub(super) fn ends(&mut self, reason: Ended, detail: String) {
        self.end.get_or_insert_with(|| Box::new(End { reason, detail }));
    }

    fn say_goodbye(&self, reason: Ended, detail: &str) {
        let (listener, peer, frames) = (&self.listener, self.peer, self.frames);
        let client = self.client().map_or("", ClientId::as_str);
        let age = self.since.elapsed().as_secs_f32();
        let detail = if detail.is_empty() { String::new() } else { format!(" detail={detail:?}") };
        log!(
            target: TARGET,
            level(reason),
            "ended reason={reason} listener={listener} peer={peer} client={client:?} age={age:.1}s frames={frames}{detail}"
        );
    }
}

/// Devices come and go; what one of them does wrong is worth a look, and what the server does wrong needs one.
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
        | Ended::Shutdown => Level::Info,
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (reason, detail) = match self.end.as_deref() {
            Some(end) if !std::thread::panicking() => (end.reason, end.detail.as_str()),
            // A stop does not wait for it any longer.
            None if self.host.stopping() && !std::thread::panicking() => (Ended::Shutdown, "cut off"),
            _ => (Ended::Crashed, ""),
        };
        self.say_goodbye(reason, detail);
        self.sign_off();
        self.host.setup.stats.end(reason);
        if let Some(listed) = self.listed {
            self.host.strike_off(listed);
        }
        drop(self.permit.take());
        // Last: when nobody is counted any more, nothing is held any more.
        self.host.setup.open.leave();
    }
}
