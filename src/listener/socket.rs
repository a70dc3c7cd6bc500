//! Listening sockets.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::failure::BindError;
use crate::config;

/// Unanswered keepalive probes after which a peer is given up.
const PROBES: u32 = 4;

/// Opens the listening socket that `config` describes. An IPv6 address takes IPv4 clients too.
///
/// Linux gives an accepted socket the options of its listening socket, so they are set here once and cost a connection
/// nothing; but for the time of its first probe, see `keepalive`.
pub fn bind(config: &config::Listener) -> Result<TcpListener, BindError> {
    open(config).map_err(|cause| BindError { listener: config.name.clone(), address: config.bind, cause })
}

fn open(config: &config::Listener) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(config.bind), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(config.nodelay)?;
    if let Some(keepalive) = config.keepalive {
        notice_vanished_peers(&socket, keepalive)?;
    }
    if let SocketAddr::V6(_) = config.bind {
        socket.set_only_v6(false)?;
    }
    socket.bind(&config.bind.into())?;
    let socket = socket.into();
    listen(&socket, config.backlog)?;
    Ok(socket)
}

/// Makes a bound socket listen. A socket that listens already keeps its waiting clients. One whose listening was ended from
/// outside (`ss --kill` does that) listens again on its port, or on another one if the system chose it.
pub fn listen(socket: &TcpListener, backlog: u32) -> io::Result<()> {
    // The backlog fits: the config says so.
    SockRef::from(socket).listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// Ends the listening of every descriptor of the socket, also of one that belongs to a thread which stands still: clients
/// that come are refused, and those that wait in the backlog are reset.
pub fn close(socket: &TcpListener) {
    // It fails where nobody listens any more.
    let _ = SockRef::from(socket).shutdown(Shutdown::Both);
}

/// An idle peer is probed after `keepalive`, and given up when it has not answered for twice as long; a peer that does not
/// acknowledge data is given up then too, which probes alone would not do.
fn notice_vanished_peers(socket: &Socket, keepalive: Duration) -> io::Result<()> {
    let interval = (keepalive / PROBES).max(Duration::from_secs(1));
    let probing = TcpKeepalive::new().with_time(keepalive).with_interval(interval).with_retries(PROBES);
    socket.set_tcp_keepalive(&probing)?;
    socket.set_tcp_user_timeout(Some(keepalive * 2))
}

/// An IPv4-mapped IPv6 address as the IPv4 address that it is. Others keep their zone.
pub(super) fn canonical(peer: SocketAddr) -> SocketAddr {
    match peer.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, peer.port()),
        IpAddr::V6(_) => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_socket_has_the_options_of_the_listening_one() {
        let keepalive = Some(Duration::from_secs(8));
        let config = config::Listener {
            bind: "127.0.0.1:0".parse().unwrap(),
            keepalive,
            ..config::Listener::default()
        };
        let listener = bind(&config).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(8));
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), Duration::from_secs(2));
        assert_eq!(accepted.tcp_keepalive_retries().unwrap(), 4);
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(Duration::from_secs(16)));
    }
    #[test]
    fn a_mapped_address_is_written_as_ipv4_and_a_link_local_one_with_its_zone() {
        for (address, expected) in [
            ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"),
            ("192.0.2.1:7", "192.0.2.1:7"),
            ("[fe80::1%3]:7", "[fe80::1%3]:7"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
        ] {
            assert_eq!(canonical(address.parse().unwrap()).to_string(), expected);
        }
    }
}
