//! The listening sockets of a listener, which belong together: one, or one for each acceptor.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::failure::BindError;
use super::options::Options;
use super::socket::Socket;
use super::unix::{self, SocketFile};
use crate::address::Address;

/// The listening sockets of a listener. Dropping it closes them also for acceptors on a thread that stands still: clients
/// are refused, and the file of a Unix socket is removed.
#[derive(Debug)]
pub struct Listening {
    sockets: Vec<Arc<Socket>>,
    address: Address,
    file: Option<SocketFile>,
    /// What the sockets have.
    options: Options,
}

impl Listening {
    /// Opens the sockets that `options` describe. An IPv6 address takes IPv4 clients too, unless it is only for IPv6.
    pub fn open(options: &Options) -> Result<Self, BindError> {
        let open = || match &options.bind {
            Address::Ip(address) => Self::tcp(*address, options),
            Address::Unix(path) => {
                let (socket, file) = unix::open(path, options.mode)?;
                Self::of(socket.into(), Some(file), options)
            }
        };
        open().map_err(|cause| BindError::new(options, cause))
    }

    /// Takes over a socket that is bound already, such as one that another process has opened.
    pub fn inherit(socket: impl Into<Socket>, options: &Options) -> Result<Self, BindError> {
        let inherit = |socket: Socket| {
            rustix::io::ioctl_fionbio(&socket, true)?;
            Self::of(socket, None, options)
        };
        inherit(socket.into()).map_err(|cause| BindError::new(options, cause))
    }

    fn tcp(address: SocketAddr, options: &Options) -> io::Result<Self> {
        if options.reuse_port {
            // Without the option, so that another server on this port is an error and does not get half of the clients.
            drop(Socket::tcp(address, &Options { reuse_port: false, ..options.clone() })?);
        }
        let mut listening = Self::of(Socket::tcp(address, options)?, None, options)?;
        listening.add_sockets(options)?;
        Ok(listening)
    }

    fn of(socket: Socket, file: Option<SocketFile>, options: &Options) -> io::Result<Self> {
        socket.apply(options)?;
        let address = socket.address().unwrap_or_else(|| options.bind.clone());
        Ok(Self { sockets: vec![Arc::new(socket)], address, file, options: options.clone() })
    }

    /// With `reuse_port`: a socket for each acceptor. A socket is never closed before the others, because the clients that
    /// wait for it would be reset; other acceptors serve it instead.
    fn add_sockets(&mut self, options: &Options) -> io::Result<()> {
        let Address::Ip(address) = self.address else { return Ok(()) };
        while options.reuse_port && self.sockets.len() < options.acceptors {
            let socket = Socket::tcp(address, options)?;
            socket.apply(options)?;
            self.sockets.push(Arc::new(socket));
        }
        Ok(())
    }

    /// Lets all sockets listen, whatever has happened to them.
    pub(super) fn listen(&self) -> io::Result<()> {
        self.sockets.iter().try_for_each(|socket| socket.listen(self.options.socket.backlog))
    }

    /// Where clients connect; a port 0 has become a real one.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn sockets(&self) -> &[Arc<Socket>] {
        &self.sockets
    }

    /// Changes the options of the sockets while they listen, or none of them. Accepted sockets keep theirs. The address,
    /// `reuse_port` and `only_v6` cannot change.
    pub fn apply(&mut self, options: &Options) -> Result<(), BindError> {
        if let Err(cause) = self.set(options) {
            let before = self.options.clone();
            // They were taken before.
            let _ = self.set(&before);
            return Err(BindError::new(options, cause));
        }
        self.options = options.clone();
        Ok(())
    }

    fn set(&mut self, options: &Options) -> io::Result<()> {
        self.sockets.iter().try_for_each(|socket| socket.apply(options))?;
        self.file.iter().try_for_each(|file| file.set_mode(options.mode))?;
        self.add_sockets(options)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.sockets.iter().for_each(|socket| socket.close());
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::listener::Keepalive;

    #[test]
    fn a_port_of_another_server_is_an_error_with_reuse_port_too() {
        let options = |port| Options {
            reuse_port: true,
            acceptors: 2,
            ..Options::new("test", SocketAddr::from(([127, 0, 0, 1], port)))
        };
        let first = Listening::open(&options(0)).unwrap();
        assert_eq!(first.sockets().len(), 2);
        let port = first.address().ip().unwrap().port();
        let err = Listening::open(&options(port)).unwrap_err().to_string();
        assert!(err.contains("Another process has it"), "{err}");
    }

    #[test]
    fn clients_of_a_dropped_one_are_refused_even_if_its_socket_is_in_use() {
        let listening =
            Listening::open(&Options::new("test", SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        let (address, in_use) = (listening.address().ip().unwrap(), Arc::clone(&listening.sockets()[0]));
        TcpStream::connect(address).unwrap();
        drop(listening);
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        drop(in_use);
    }

    #[test]
    fn options_change_together_or_not_at_all() {
        let mut options = Options::new("test", SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut listening = Listening::open(&options).unwrap();
        let nodelay =
            |listening: &Listening| socket2::SockRef::from(&*listening.sockets()[0]).tcp_nodelay().unwrap();
        options.socket.nodelay = false;
        options.socket.backlog = 7;
        listening.apply(&options).unwrap();
        assert!(!nodelay(&listening));
        // The kernel takes the first one of them.
        options.socket.nodelay = true;
        options.socket.keepalive = Some(Keepalive {
            idle: Duration::from_secs(100_000),
            interval: Duration::from_secs(1),
            count: 1,
        });
        let err = listening.apply(&options).unwrap_err().to_string();
        assert!(err.contains("keepalive = 100000s every 1s: "), "{err}");
        assert!(!nodelay(&listening));
    }

    #[test]
    fn a_socket_of_another_process_is_taken_over() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listening = Listening::inherit(socket, &Options::new("test", address)).unwrap();
        assert_eq!(listening.address(), &Address::Ip(address));
        TcpStream::connect(address).unwrap();
    }
}
