//! What a listener is to be: the form that a server of any protocol fills in.

use std::sync::Arc;
use std::time::Duration;

use super::limits::ConnectionRate;
use super::tls::Loaded;
use crate::access::{Rules, sources};
use crate::address::Address;

/// A listener as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Its name in logs and counters.
    pub name: String,
    /// Where it listens. Port 0 lets the system choose one.
    pub bind: Address,
    /// The permissions of the file of a Unix socket.
    pub mode: u32,
    /// Whether an IPv6 address rejects IPv4 clients.
    pub only_v6: bool,
    /// Whether each acceptor has a socket of its own, and the kernel spreads the clients over them (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// The number of accept loops: one per worker at most.
    pub acceptors: usize,
    /// The maximum number of connections.
    pub max_connections: usize,
    /// The maximum number of strangers among them.
    pub max_unauthenticated: usize,
    /// The limit on the rate of new connections.
    pub rate: Option<ConnectionRate>,
    /// The limits of each source of connections.
    pub sources: sources::Limits,
    /// The admitted IP addresses.
    pub access: Rules,
    /// The options of its sockets.
    pub socket: SocketOptions,
    /// TLS of its TCP connections.
    pub tls: Option<Arc<Loaded>>,
}

impl Options {
    /// A listener with this name and this address, one acceptor, and the usual limits.
    pub fn new(name: impl Into<String>, bind: impl Into<Address>) -> Self {
        Self {
            name: name.into(),
            bind: bind.into(),
            mode: 0o660,
            only_v6: false,
            reuse_port: false,
            acceptors: 1,
            max_connections: 1000,
            max_unauthenticated: 1000,
            rate: None,
            sources: sources::Limits::default(),
            access: Rules::default(),
            socket: SocketOptions::default(),
            tls: None,
        }
    }
}

impl Options {
    /// Whether a socket that was opened with the other options can become one with these.
    pub fn shares_socket_with(&self, other: &Self) -> bool {
        let kernel = |options: &Self| {
            let Self { bind, only_v6, reuse_port, socket, .. } = options;
            (bind.clone(), *only_v6, *reuse_port, socket.receive_buffer, socket.send_buffer)
        };
        kernel(self) == kernel(other)
    }
}

/// The options of a listening socket. The sockets that it accepts have them from it. A Unix socket has the backlog and the
/// buffers only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Connections that the kernel queues until they are accepted.
    pub backlog: u32,
    /// Whether small writes leave immediately.
    pub nodelay: bool,
    /// Probes of silent peers.
    pub keepalive: Option<Keepalive>,
    /// How long data may stay unacknowledged, and probes unanswered, before the connection is dropped.
    pub user_timeout: Option<Duration>,
    /// The size of the receive buffer in bytes, unless the kernel chooses it.
    pub receive_buffer: Option<usize>,
    /// The size of the send buffer in bytes, unless the kernel chooses it.
    pub send_buffer: Option<usize>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            backlog: 512,
            nodelay: true,
            keepalive: None,
            user_timeout: None,
            receive_buffer: None,
            send_buffer: None,
        }
    }
}

/// Probes of silent peers, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// The silence before the first probe.
    pub idle: Duration,
    /// The time between two probes.
    pub interval: Duration,
    /// The number of unanswered probes after which the connection is dropped.
    pub count: u32,
}
