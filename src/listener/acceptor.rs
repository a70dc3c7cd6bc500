//! One accept loop on one worker.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::net::TcpListener;

use super::door::Door;
use crate::faults::{Faults, Point};
use crate::stats::Stats;
use crate::supervisor::exit;

/// How long accepting pauses when descriptors or memory ran out. Live sessions go on; clients wait in the backlog.
const PAUSE: Duration = Duration::from_millis(100);

/// After so many clients in a row the other acceptors get their chance, so that a burst spreads over the workers.
const IN_A_ROW: u32 = 16;

/// Accepts clients and takes them to the door.
pub(super) struct Acceptor {
    socket: Option<std::net::TcpListener>,
    door: Arc<Door>,
    stats: Arc<Stats>,
    faults: Faults,
}

impl Acceptor {
    /// An acceptor on its own duplicate of the listening socket.
    pub(super) const fn new(
        socket: std::net::TcpListener,
        door: Arc<Door>,
        stats: Arc<Stats>,
        faults: Faults,
    ) -> Self {
        Self { socket: Some(socket), door, stats, faults }
    }
}

impl Actor for Acceptor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(socket) = self.socket.take() else { return };
        match TcpListener::from_std(socket) {
            Ok(socket) => {
                let accepting =
                    accept(socket, Arc::clone(&self.door), Arc::clone(&self.stats), self.faults.clone());
                ctx.spawn(
                    accepting.into_actor(self).map(|err, _, _| exit(format!("accepting failed: {err}"))),
                );
            }
            Err(err) => exit(format!("the socket cannot be watched: {err}")),
        }
    }
}

/// Accepts until the listening socket fails.
async fn accept(socket: TcpListener, door: Arc<Door>, stats: Arc<Stats>, faults: Faults) -> io::Error {
    let mut in_a_row = 0;
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                door.open(stream, peer, &stats);
                faults.trip(Point::Acceptor);
            }
            Err(err) => match Trouble::of(&err) {
                Trouble::OneConnection => stats.accept_errors.one(),
                Trouble::Exhausted => {
                    stats.accept_pauses.one();
                    door.exhaustion.note(&door.listener, &err);
                    tokio::time::sleep(PAUSE).await;
                }
                Trouble::Listener => return err,
            },
        }
        in_a_row += 1;
        if in_a_row % IN_A_ROW == 0 {
            tokio::task::yield_now().await;
        }
    }
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
        match (err.kind(), err.raw_os_error()) {
            (_, Some(EMFILE | ENFILE | ENOBUFS)) | (OutOfMemory, _) => Self::Exhausted,
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
        // ENFILE, EMFILE, ENOBUFS, ENOMEM
        for errno in [23, 24, 105, 12] {
            assert_eq!(of(errno), Trouble::Exhausted, "{errno}");
        }
        // EBADF, EINVAL, ENOTSOCK
        for errno in [9, 22, 88] {
            assert_eq!(of(errno), Trouble::Listener, "{errno}");
        }
    }
}
