//! One acceptor: an accept loop on one worker for each of its sockets, mostly one.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use actix::prelude::*;
use rustix::io::Errno;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::door::Door;
use super::gate::Gate;
use super::queue::Queue;
use super::socket::Socket;
use super::spread::Spread;
use super::stream::Stream;
use super::trouble::Trouble;
use crate::address::Peer;
use crate::faults::{Faults, Point};
use crate::stats::Stats;
use crate::supervisor::exit;

/// How long accepting pauses when descriptors or memory ran out. Live sessions go on; clients wait in the backlog.
const PAUSE: Duration = Duration::from_millis(100);

/// After so many clients in a row the other acceptors get their chance, so that a burst spreads over the workers.
const IN_A_ROW: u32 = 16;

/// Accepts clients and takes them to the door.
pub(super) struct Acceptor {
    pub(super) sockets: Vec<Arc<Socket>>,
    pub(super) door: Arc<Door>,
    pub(super) gate: Gate,
    pub(super) stats: Arc<Stats>,
    pub(super) faults: Faults,
}

impl Actor for Acceptor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        for socket in &self.sockets {
            let Self { door, gate, stats, faults, .. } = &*self;
            let (socket, gate) = (Arc::clone(socket), gate.clone());
            let incoming = Incoming { socket, gate, watched: None, spread: Spread::new() };
            let accepting = accept(incoming, Arc::clone(door), Arc::clone(stats), faults.clone());
            let accepting = accepting.into_actor(self);
            ctx.spawn(accepting.map(|err, _, _| exit(format!("accepting failed: {err}"))));
        }
    }
}

/// Accepts until the listening socket fails.
async fn accept(mut incoming: Incoming, door: Arc<Door>, stats: Arc<Stats>, faults: Faults) -> io::Error {
    let (mut in_a_row, mut queue) = (0, Queue::default());
    loop {
        match incoming.next(&door).await {
            Ok((stream, peer)) => {
                door.open(stream, peer, &stats, &mut queue).await;
                faults.trip(Point::Acceptor);
            }
            Err(err) => match Trouble::of(&err) {
                Trouble::OneConnection => stats.accept_failed((&err).into()),
                Trouble::Exhausted => {
                    stats.accept_failed((&err).into());
                    stats.accept_pauses.one();
                    door.exhaustion.note(door.journal.listener(), &err);
                    tokio::time::sleep(PAUSE).await;
                }
                Trouble::Listener => return err,
            },
        }
        in_a_row = (in_a_row + 1) % IN_A_ROW;
        if in_a_row == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// The clients of one socket.
struct Incoming {
    socket: Arc<Socket>,
    /// That of the worker.
    gate: Gate,
    /// A duplicate of the socket; without descriptors an acceptor has to wait for one.
    watched: Option<Watched>,
    spread: Spread,
}

/// A listening socket that this thread watches.
enum Watched {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Incoming {
    /// The next client, when the gate is open.
    async fn next(&mut self, door: &Door) -> io::Result<(Stream, Peer)> {
        loop {
            door.gate.open().await;
            self.gate.open().await;
            if let Some(client) = poll_fn(|cx| self.poll_next(door, cx)).await {
                return client;
            }
        }
    }

    /// The next client, or none if the gate has been closed: a client that has come since then keeps waiting.
    fn poll_next(
        &mut self,
        door: &Door,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<io::Result<(Stream, Peer)>>> {
        if !(door.gate.is_open() && self.gate.is_open()) {
            return Poll::Ready(None);
        }
        let client = match self.watch().map(|watched| watched.poll_accept(cx)) {
            Ok(Poll::Ready(client)) => client,
            Ok(Poll::Pending) => {
                self.spread.rest();
                return Poll::Pending;
            }
            Err(err) => Err(err),
        };
        if let Ok((Stream::Tcp(stream), _)) = &client {
            self.spread.accepted(door.keepalive(), &*self.socket, stream);
        }
        Poll::Ready(Some(client))
    }

    fn watch(&mut self) -> io::Result<&Watched> {
        let watched = match self.watched.take() {
            Some(watched) => watched,
            None => Watched::new(&self.socket)?,
        };
        Ok(self.watched.insert(watched))
    }
}

impl Watched {
    fn new(socket: &Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket.try_clone()?)?),
            Socket::Unix(socket) => Self::Unix(UnixListener::from_std(socket.try_clone()?)?),
        })
    }

    fn poll_accept(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        Poll::Ready(match self {
            Self::Tcp(socket) => {
                ready!(socket.poll_accept(cx)).map(|(stream, peer)| (Stream::Tcp(stream), peer.into()))
            }
            Self::Unix(socket) => ready!(socket.poll_accept(cx)).and_then(|(stream, _)| process(stream)),
        })
    }
}

/// A client on a Unix socket, with the process that it is.
fn process(stream: UnixStream) -> io::Result<(Stream, Peer)> {
    // The kernel has noted it when the client connected: a failure concerns this client.
    let process = stream.peer_cred().map_err(|_| Errno::CONNABORTED)?;
    let pid = process.pid().and_then(|pid| pid.try_into().ok()).unwrap_or_default();
    Ok((Stream::Unix(stream), Peer::Unix { pid, uid: process.uid() }))
}
