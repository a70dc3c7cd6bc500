//! What comes before a session on a listener with TLS. It is not a session yet: a client that fails here is refused.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::InvalidMessage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::admitted::Admitted;
use super::door::Door;
use super::stream::Stream;
use super::tls::{Loaded, Tls};
use crate::access::{Place, Visit};
use crate::address::Peer;
use crate::stats::{Refused, Stats};

/// How long a client that is refused may take to read why: a close at once might destroy the alert on its way.
const LINGER: Duration = Duration::from_secs(1);

/// A client that has a place, and must perform its handshake.
pub(super) struct Handshake {
    pub(super) door: Arc<Door>,
    pub(super) loaded: Arc<Loaded>,
    pub(super) stats: Arc<Stats>,
    pub(super) peer: Peer,
    /// Its place among the connections.
    pub(super) place: Place,
    /// Its part of the limits of its source.
    pub(super) visit: Visit,
    /// Its place among the handshakes.
    pub(super) in_progress: Place,
}

/// Why a handshake is not complete.
enum Failure {
    /// The client connected and left, as port checks do.
    Probe,
    Refused(Refused, String),
}

impl Handshake {
    /// Performs the handshake on the calling thread, and starts the session.
    pub(super) async fn run(self, socket: TcpStream) {
        let mut tls = Box::new(Tls::new(socket, &self.loaded));
        let performed = self.perform(&mut tls).await;
        let Self { door, stats, peer, place, visit, in_progress, .. } = self;
        drop(in_progress);
        match performed {
            Ok(()) => {
                let mut admitted = Admitted::new(peer, place, stats, door.journal.clone()).visiting(visit);
                admitted.heard();
                door.start_session(Stream::Tls(tls), admitted);
            }
            // It takes nothing of the rates.
            Err(Failure::Probe) => {
                visit.give_back_token();
                stats.probes.one();
            }
            Err(Failure::Refused(reason, detail)) => {
                place.heard();
                door.refuse(reason, &detail, peer, &stats);
                if reason == Refused::TlsFailed {
                    linger(&mut tls, &place).await;
                }
            }
        }
    }

    async fn perform(&self, tls: &mut Tls) -> Result<(), Failure> {
        let shaken = timeout(self.loaded.handshake_timeout, tls.handshake());
        tokio::select! {
            biased;
            () = lost(&self.place) => Err(Failure::CROWDED_OUT),
            () = lost(&self.in_progress) => Err(Failure::CROWDED_OUT),
            shaken = shaken => match shaken {
                Ok(Ok(())) => Ok(()),
                Ok(Err(err)) => Err(Failure::of(&err, tls)),
                Err(_) => Err(Failure::Refused(Refused::HandshakeTimeout, String::new())),
            },
        }
    }
}

/// The cause. What rustls says of other protocols is of no help.
fn detail(err: &io::Error) -> String {
    let cause = err.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the client does not speak TLS".into()
        }
        _ => err.to_string(),
    }
}

/// Resolves when another client has this place.
async fn lost(place: &Place) {
    poll_fn(|cx| if place.is_lost(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
}

impl Failure {
    const CROWDED_OUT: Self = Self::Refused(Refused::CrowdedOut, String::new());

    fn of(err: &io::Error, tls: &Tls) -> Self {
        match err.kind() {
            _ if tls.is_silent() => Self::Probe,
            io::ErrorKind::InvalidData => Self::Refused(Refused::TlsFailed, detail(err)),
            _ => Self::Refused(Refused::HandshakeClosed, err.to_string()),
        }
    }
}

/// Lets the client read the alert, as long as it keeps its place.
async fn linger(tls: &mut Tls, place: &Place) {
    let socket = tls.socket_mut();
    let reading = async {
        // Whatever fails here, the client is gone.
        let _ = socket.shutdown().await;
        let mut junk = [0; 512];
        while socket.read(&mut junk).await.is_ok_and(|len| len > 0) {}
    };
    tokio::select! {
        () = lost(place) => {}
        _ = timeout(LINGER, reading) => {}
    }
}
