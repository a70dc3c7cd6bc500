//! One listening socket: how it is opened, its options, and how it is closed.

use std::fs::read_to_string;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use log::warn;
use socket2::{Domain, Protocol, SockRef, Socket as Socket2, TcpKeepalive, Type};

use super::options::{Options, SocketOptions};
use crate::address::Address;

/// A listening socket.
#[derive(Debug)]
pub enum Socket {
    /// On a TCP port.
    Tcp(TcpListener),
    /// On a path.
    Unix(UnixListener),
}

impl From<TcpListener> for Socket {
    fn from(socket: TcpListener) -> Self {
        Self::Tcp(socket)
    }
}

impl From<UnixListener> for Socket {
    fn from(socket: UnixListener) -> Self {
        Self::Unix(socket)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// An option that the kernel refuses.
#[derive(Debug, thiserror::Error)]
#[error("{option} = {value}: {cause}")]
struct Refused {
    option: &'static str,
    value: String,
    cause: String,
}

/// What is done with an option, and what the kernel says.
fn set<T>(option: &'static str, value: impl ToString, done: io::Result<T>) -> io::Result<T> {
    done.map_err(|cause| refused(option, value, cause))
}

fn refused(option: &'static str, value: impl ToString, cause: impl ToString) -> io::Error {
    io::Error::other(Refused { option, value: value.to_string(), cause: cause.to_string() })
}

impl Socket {
    /// Opens a TCP socket. It does not listen yet.
    pub(super) fn tcp(address: SocketAddr, options: &Options) -> io::Result<Self> {
        let socket = Socket2::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        if options.reuse_port {
            set("reuse_port", true, socket.set_reuse_port(true))?;
        }
        if address.is_ipv6() {
            set("only_v6", options.only_v6, socket.set_only_v6(options.only_v6))?;
        }
        socket.bind(&address.into())?;
        Ok(Self::Tcp(socket.into()))
    }

    /// Gives the socket these options, and lets it listen. A socket that listens already only changes.
    ///
    /// Linux gives an accepted socket the options of its listening socket, so they cost a connection nothing.
    pub(super) fn apply(&self, options: &Options) -> io::Result<()> {
        let (socket, wanted) = (SockRef::from(self), &options.socket);
        if let Some(size) = wanted.receive_buffer {
            set("receive_buffer", size, socket.set_recv_buffer_size(size))?;
            fits("receive_buffer", "net.core.rmem_max", size, socket.recv_buffer_size()?)?;
        }
        if let Some(size) = wanted.send_buffer {
            set("send_buffer", size, socket.set_send_buffer_size(size))?;
            fits("send_buffer", "net.core.wmem_max", size, socket.send_buffer_size()?)?;
        }
        if let Self::Tcp(_) = self {
            apply_tcp(&socket, wanted)?;
        }
        set("backlog", wanted.backlog, self.listen(wanted.backlog))?;
        warn_of_backlog(&options.name, wanted.backlog);
        Ok(())
    }

    /// Lets the socket listen. One that listens already keeps its waiting clients. One whose listening was ended from
    /// outside (`ss --kill` does that) listens again on its port, or on another one if the system chose it.
    pub(super) fn listen(&self, backlog: u32) -> io::Result<()> {
        SockRef::from(self).listen(i32::try_from(backlog).unwrap_or(i32::MAX))
    }

    /// Ends the listening of every descriptor of the socket, also of one that belongs to a thread which stands still:
    /// clients that come are refused, and those that wait in the backlog are reset.
    pub(super) fn close(&self) {
        // It fails where nobody listens any more.
        let _ = SockRef::from(self).shutdown(Shutdown::Both);
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Option<Address> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok().map(Address::Ip),
            Self::Unix(socket) => Some(Address::Unix(socket.local_addr().ok()?.as_pathname()?.into())),
        }
    }
}

fn apply_tcp(socket: &SockRef<'_>, wanted: &SocketOptions) -> io::Result<()> {
    set("nodelay", wanted.nodelay, socket.set_tcp_nodelay(wanted.nodelay))?;
    match &wanted.keepalive {
        Some(keepalive) => {
            let probing = TcpKeepalive::new()
                .with_time(keepalive.idle)
                .with_interval(keepalive.interval)
                .with_retries(keepalive.count);
            let shown = format!("{:?} every {:?}", keepalive.idle, keepalive.interval);
            set("keepalive", shown, socket.set_tcp_keepalive(&probing))?;
        }
        None => set("keepalive", "off", socket.set_keepalive(false))?,
    }
    let timeout = wanted.user_timeout.unwrap_or(Duration::ZERO);
    set("user_timeout", format!("{timeout:?}"), socket.set_tcp_user_timeout(Some(timeout)))
}

/// The kernel lowers a buffer to its limit without a word. It doubles what it is given, for its own needs.
fn fits(option: &'static str, sysctl: &str, asked: usize, got: usize) -> io::Result<()> {
    if got / 2 >= asked {
        return Ok(());
    }
    let cause = format!("the kernel allows {} bytes ({sysctl}); raise that, or lower `{option}`", got / 2);
    Err(refused(option, format!("{asked} bytes"), cause))
}

/// The kernel lowers a backlog without a word too, and never says to what.
fn warn_of_backlog(listener: &str, asked: u32) {
    let Ok(text) = read_to_string("/proc/sys/net/core/somaxconn") else { return };
    if let Ok(most) = text.trim().parse::<u32>()
        && most < asked
    {
        warn!("listener {listener}: backlog = {asked} is limited to {most} by net.core.somaxconn");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::Keepalive;

    fn options() -> Options {
        Options::new("test", SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn open(options: &Options) -> io::Result<Socket> {
        let socket = Socket::tcp(options.bind.ip().unwrap(), options)?;
        socket.apply(options)?;
        Ok(socket)
    }

    /// A socket that `listening` has accepted.
    fn accepted(listening: &Socket) -> TcpStream {
        let Socket::Tcp(listening) = listening else { panic!("not TCP") };
        listening.set_nonblocking(false).unwrap();
        let _client = TcpStream::connect(listening.local_addr().unwrap()).unwrap();
        listening.accept().unwrap().0
    }

    use std::net::TcpStream;

    #[test]
    fn an_accepted_socket_has_the_options_of_the_listening_one_also_of_new_ones() {
        let mut options = options();
        let [idle, interval] = [8, 2].map(Duration::from_secs);
        options.socket.keepalive = Some(Keepalive { idle, interval, count: 3 });
        options.socket.user_timeout = Some(Duration::from_secs(16));
        options.socket.receive_buffer = Some(20_000);
        let listening = open(&options).unwrap();
        let first = accepted(&listening);
        let socket = SockRef::from(&first);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), idle);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), interval);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(16)));
        assert_eq!(socket.recv_buffer_size().unwrap(), 40_000);

        options.socket = SocketOptions { nodelay: false, ..SocketOptions::default() };
        listening.apply(&options).unwrap();
        let second = accepted(&listening);
        let socket = SockRef::from(&second);
        assert!(!socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
    }

    #[test]
    fn a_buffer_that_the_kernel_lowers_is_an_error_that_names_the_limit() {
        let mut options = options();
        options.socket.send_buffer = Some(1 << 30);
        let err = open(&options).unwrap_err().to_string();
        assert!(err.starts_with("send_buffer = 1073741824 bytes: the kernel allows "), "{err}");
        assert!(err.ends_with(" bytes (net.core.wmem_max); raise that, or lower `send_buffer`"), "{err}");
    }

    #[test]
    fn an_ipv6_socket_takes_ipv4_clients_unless_it_is_only_for_ipv6() {
        for only_v6 in [false, true] {
            let bind = SocketAddr::from(([0_u16; 8], 0));
            let listening = open(&Options { only_v6, bind: bind.into(), ..options() }).unwrap();
            let port = listening.address().unwrap().ip().unwrap().port();
            assert_eq!(TcpStream::connect(("127.0.0.1", port)).is_err(), only_v6);
        }
    }
}
