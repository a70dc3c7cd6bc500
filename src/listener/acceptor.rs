//! One accept loop on one worker.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::net::{TcpListener, TcpStream};

use super::door::Door;
use super::keepalive::Jitter;
use crate::faults::{Faults, Point};
use crate::stats::Stats;
use crate::supervisor::exit;

/// How long accepting pauses when descriptors or memory ran out. Live sessions go on; clients wait in the backlog.
const PAUSE: Duration = Duration::from_millis(100);

/// After so many clients in a row the other acceptors get their chance, so that a burst spreads over the workers.
const IN_A_ROW: u32 = 16;

/// Accepts clients and takes them to the door.
pub(super) struct Acceptor {
    pub(super) socket: Arc<std::net::TcpListener>,
    pub(super) door: Arc<Door>,
    pub(super) stats: Arc<Stats>,
    pub(super) faults: Faults,
}

impl Actor for Acceptor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Self { socket, door, stats, faults } = self;
        let accepting = accept(Arc::clone(socket), Arc::clone(door), Arc::clone(stats), faults.clone());
        ctx.spawn(accepting.into_actor(self).map(|err, _, _| exit(format!("accepting failed: {err}"))));
    }
}

/// Accepts until the listening socket fails.
async fn accept(
    socket: Arc<std::net::TcpListener>,
    door: Arc<Door>,
    stats: Arc<Stats>,
    faults: Faults,
) -> io::Error {
    let mut in_a_row = 0;
    let mut watched = None;
    let mut keepalive = Jitter::of(&socket);
    loop {
        match next(&socket, &mut watched).await {
            Ok((stream, peer)) => {
                keepalive.apply(&stream);
                door.open(stream, peer, &stats);
                faults.trip(Point::Acceptor);
            }
            Err(err) => match Trouble::of(&err) {
                Trouble::OneConnection => stats.accept_errors.one(),
                Trouble::Exhausted => {
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

/// The next client. An acceptor watches a duplicate of its own; without descriptors it has to wait for one.
async fn next(
    socket: &std::net::TcpListener,
    watched: &mut Option<TcpListener>,
) -> io::Result<(TcpStream, SocketAddr)> {
    let duplicate = match watched.take() {
        Some(duplicate) => duplicate,
        None => TcpListener::from_std(socket.try_clone()?)?,
    };
    watched.insert(duplicate).accept().await
}

/// What an error of accept(2) concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    OneConnection,
    Exhausted,
    Listener,
}

impl Trouble {
    /// accept(2), "Error handling": Linux passes the network errors of the new socket on; they are to be treated like
    /// EAGAIN. A firewall's EPERM concerns one connection too.
    fn of(err: &io::Error) -> Self {
        use io::ErrorKind::{
            ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
            NetworkUnreachable, OutOfMemory, PermissionDenied, TimedOut, WouldBlock,
        };
        // ENETDOWN..EHOSTUNREACH have kinds; EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EOPNOTSUPP have none.
        const EPROTO: i32 = 71;
        const ENOPROTOOPT: i32 = 92;
        const EHOSTDOWN: i32 = 112;
        const ENONET: i32 = 64;
        const EOPNOTSUPP: i32 = 95;
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        const ENOBUFS: i32 = 105;
        // epoll_ctl(2): the user's limit of watched files, /proc/sys/fs/epoll/max_user_watches.
        const ENOSPC: i32 = 28;
        match (err.kind(), err.raw_os_error()) {
            (_, Some(EMFILE | ENFILE | ENOBUFS | ENOSPC)) | (OutOfMemory, _) => Self::Exhausted,
            (_, Some(EPROTO | ENOPROTOOPT | EHOSTDOWN | ENONET | EOPNOTSUPP)) => Self::OneConnection,
            (
                ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable | Interrupted
                | NetworkDown | NetworkUnreachable | PermissionDenied | TimedOut | WouldBlock,
                _,
            ) => Self::OneConnection,
            _ => Self::Listener,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_accept_by_what_they_concern() {
        let of = |errno| Trouble::of(&io::Error::from_raw_os_error(errno));
        let one_connection = [1, 4, 64, 71, 92, 95, 100, 101, 103, 104, 110, 112, 113];
        for errno in one_connection {
            assert_eq!(of(errno), Trouble::OneConnection, "{errno}");
        }
        // ENFILE, EMFILE, ENOBUFS, ENOMEM, ENOSPC
        for errno in [23, 24, 105, 12, 28] {
            assert_eq!(of(errno), Trouble::Exhausted, "{errno}");
        }
        // EBADF, EINVAL, ENOTSOCK
        for errno in [9, 22, 88] {
            assert_eq!(of(errno), Trouble::Listener, "{errno}");
        }
    }
}
