//! Counters, and the closed lists of reasons: why a listener rejected a client, why a session ended, and why accept(2)
//! failed. Logs, counters and tests use the same names.

mod board;
mod errno;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::board::Board;
pub use self::errno::AcceptError;

/// A counter that only increases.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub fn one(&self) {
        self.add(1);
    }

    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// The name in logs and counters.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

use reasons;

reasons! {
    /// Why a listener rejected a client before a session started.
    Refused {
        /// An access rule denies the address.
        Denied = "denied",
        /// `max_connections` is reached.
        Full = "full",
        /// `max_connections` of the server is reached.
        ServerFull = "server_full",
        /// The source of the connection has as many as it may have.
        SourceFull = "source_full",
        /// The source connects faster than it may.
        SourceRate = "source_rate",
        /// More connections come than the rate of the listener admits, and it refuses them.
        Rate = "rate",
        /// The client was gone before it was accepted. Counted only where a rate is limited.
        Gone = "gone",
        /// TLS failed: no handshake, no common version, or no valid certificate.
        TlsFailed = "tls_failed",
        /// The handshake was not complete within the timeout.
        HandshakeTimeout = "handshake_timeout",
        /// The peer closed the connection in the handshake.
        HandshakeClosed = "handshake_closed",
        /// The handshake was in progress, and another one needed its place.
        CrowdedOut = "crowded_out",
    }
}

reasons! {
    /// Why a session ended.
    Ended {
        /// The peer closed between two frames.
        PeerClosed = "peer_closed",
        /// The peer closed in the middle of a frame.
        Truncated = "truncated",
        /// The peer reset the connection.
        Reset = "reset",
        /// The peer vanished: it answers neither data nor keepalive probes.
        Vanished = "vanished",
        /// Another error of the socket.
        SocketError = "socket_error",
        /// The id is unknown, in use, or could not be looked up.
        AuthFailure = "auth_failure",
        /// No complete AUTH within the timeout.
        AuthTimeout = "auth_timeout",
        /// The connection was silent, and another one needed its place.
        CrowdedOut = "crowded_out",
        /// A frame was not complete within the timeout.
        FrameTimeout = "frame_timeout",
        /// The idle timeout expired.
        IdleTimeout = "idle_timeout",
        /// The peer did not read its answers.
        WriteTimeout = "write_timeout",
        /// The peer sent an invalid frame.
        ProtocolError = "protocol_error",
        /// A one-shot SEND was answered.
        OneShot = "one_shot",
        /// A newer session owns the id.
        Takeover = "takeover",
        /// An operator closed it.
        Closed = "closed",
        /// The server drains, and the session was idle.
        Drained = "drained",
        /// The server stops.
        Shutdown = "shutdown",
        /// The session panicked, or was aborted.
        Crashed = "crashed",
    }
}

/// The counters of one listener on one worker. Only this worker writes to them, so counting is cheap. A [`Board`] keeps
/// them from the start of the server on.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections that became sessions.
    pub accepted: Counter,
    /// Pauses of accepting because file descriptors ran out.
    pub accept_pauses: Counter,
    /// Connections that their peer closed without a mistake and without authenticating, mostly health checks.
    pub probes: Counter,
    /// AUTHs that were answered `auth_ok` and added a row to the registry.
    pub authenticated: Counter,
    /// Rows removed from the registry.
    pub signed_off: Counter,
    /// Complete frames.
    pub frames: Counter,
    /// SENDs answered `send_ok`.
    pub stored: Counter,
    /// SENDs answered `send_failure`.
    pub not_stored: Counter,
    /// CMD_OK and CMD_FAILURE that answer no command.
    pub ignored_answers: Counter,
    refused: [Counter; Refused::ALL.len()],
    ended: [Counter; Ended::ALL.len()],
    accept_errors: [Counter; AcceptError::ALL.len()],
}

impl Stats {
    /// Counts an error of accept(2), after which the listener goes on.
    pub fn accept_failed(&self, error: AcceptError) {
        self.accept_errors.get(error as usize).inspect(|counter| counter.one());
    }

    /// Counts a rejected client.
    pub fn refuse(&self, reason: Refused) {
        self.refused.get(reason as usize).inspect(|counter| counter.one());
    }

    /// Counts an ended session.
    pub fn end(&self, reason: Ended) {
        self.ended.get(reason as usize).inspect(|counter| counter.one());
    }
}

/// The sums of counters at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Open sessions.
    pub sessions: u64,
    /// Authenticated sessions among them.
    pub authenticated: u64,
    /// See [`Stats::accepted`].
    pub accepted: u64,
    /// See [`Stats::accept_pauses`].
    pub accept_pauses: u64,
    /// See [`Stats::probes`].
    pub probes: u64,
    /// See [`Stats::frames`].
    pub frames: u64,
    /// See [`Stats::stored`].
    pub stored: u64,
    /// See [`Stats::not_stored`].
    pub not_stored: u64,
    /// See [`Stats::ignored_answers`].
    pub ignored_answers: u64,
    refused: [u64; Refused::ALL.len()],
    ended: [u64; Ended::ALL.len()],
    accept_errors: [u64; AcceptError::ALL.len()],
}

impl Totals {
    /// Adds up counters.
    pub fn of<'a>(counters: impl IntoIterator<Item = &'a Stats>) -> Self {
        let mut totals = Self::default();
        counters.into_iter().for_each(|stats| totals.add(stats));
        let ended: u64 = totals.ended.iter().sum();
        totals.sessions = totals.accepted.saturating_sub(ended);
        totals
    }

    fn add(&mut self, stats: &Stats) {
        // Ends are read before beginnings, so that a gauge is never negative.
        for (total, counter) in self.ended.iter_mut().zip(&stats.ended) {
            *total += counter.value();
        }
        for (total, counter) in self.refused.iter_mut().zip(&stats.refused) {
            *total += counter.value();
        }
        for (total, counter) in self.accept_errors.iter_mut().zip(&stats.accept_errors) {
            *total += counter.value();
        }
        let signed_off = stats.signed_off.value();
        self.authenticated += stats.authenticated.value().saturating_sub(signed_off);
        self.accepted += stats.accepted.value();
        self.accept_pauses += stats.accept_pauses.value();
        self.probes += stats.probes.value();
        self.frames += stats.frames.value();
        self.stored += stats.stored.value();
        self.not_stored += stats.not_stored.value();
        self.ignored_answers += stats.ignored_answers.value();
    }

    /// The number of clients rejected for `reason`.
    pub fn refused(&self, reason: Refused) -> u64 {
        self.refused.get(reason as usize).copied().unwrap_or_default()
    }

    /// The number of sessions that ended for `reason`.
    pub fn ended(&self, reason: Ended) -> u64 {
        self.ended.get(reason as usize).copied().unwrap_or_default()
    }

    /// The number of accept errors of this kind.
    pub fn accept_errors(&self, error: AcceptError) -> u64 {
        self.accept_errors.get(error as usize).copied().unwrap_or_default()
    }
}

/// One line for the log. Rare counters are left out while they are zero.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sessions={} authenticated={} accepted={}",
            self.sessions, self.authenticated, self.accepted
        )?;
        write!(f, " frames={} stored={}", self.frames, self.stored)?;
        let seldom = [
            ("not_stored", self.not_stored),
            ("ignored_answers", self.ignored_answers),
            ("accept_pauses", self.accept_pauses),
            ("probes", self.probes),
        ];
        let refused = Refused::ALL.map(|reason| (reason.name(), self.refused(reason)));
        let ended = Ended::ALL.map(|reason| (reason.name(), self.ended(reason)));
        let accept_errors = AcceptError::ALL.map(|error| (error.name(), self.accept_errors(error)));
        write_seldom(f, "", &seldom)?;
        write_seldom(f, "accept_errors.", &accept_errors)?;
        write_seldom(f, "refused.", &refused)?;
        write_seldom(f, "ended.", &ended)
    }
}

fn write_seldom(f: &mut fmt::Formatter<'_>, prefix: &str, counters: &[(&str, u64)]) -> fmt::Result {
    counters
        .iter()
        .filter(|(_, value)| *value > 0)
        .try_for_each(|(name, value)| write!(f, " {prefix}{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_over_the_workers_and_print_what_there_is() {
        let [first, second] = [Stats::default(), Stats::default()];
        first.accepted.add(3);
        second.accepted.add(2);
        first.authenticated.add(2);
        first.signed_off.one();
        second.end(Ended::Takeover);
        second.refuse(Refused::Full);
        second.not_stored.one();
        second.accept_failed(AcceptError::ConnectionAborted);
        let totals = Totals::of([&first, &second]);
        assert_eq!(totals.sessions, 4);
        assert_eq!(totals.authenticated, 1);
        assert_eq!(totals.ended(Ended::Takeover), 1);
        assert_eq!(
            totals.to_string(),
            "sessions=4 authenticated=1 accepted=5 frames=0 stored=0 not_stored=1 accept_errors.ECONNABORTED=1 \
             refused.full=1 ended.takeover=1"
        );
    }
}
