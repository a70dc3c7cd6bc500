//! The byte stream of a session.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf, Ready};
use tokio::net::{TcpStream, UnixStream};

use super::tls::Tls;

/// A connection's byte stream.
#[derive(Debug)]
pub enum Stream {
    /// A TCP socket.
    Tcp(TcpStream),
    /// TLS over a TCP socket, after the handshake.
    Tls(Box<Tls>),
    /// A Unix socket. Its close never waits for the peer, and its data needs no reset.
    Unix(UnixStream),
    /// A pipe within the process, for tests and for embedding the server.
    Memory(DuplexStream),
}

impl Stream {
    /// Turns the following close into a reset, so that the kernel keeps no data for a peer that does not read.
    pub fn reset_on_close(&self) {
        if let Some(stream) = self.tcp() {
            // It fails only on a socket that is already broken.
            let _ = stream.set_zero_linger();
        }
    }

    /// The TCP socket, if it is over one.
    const fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.socket()),
            Self::Unix(_) | Self::Memory(_) => None,
        }
    }

    /// Whether a client with this id may use the connection. Only a certificate can say no.
    pub fn allows(&self, id: &str) -> bool {
        match self {
            Self::Tls(stream) => stream.allows(id),
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => true,
        }
    }

    /// Bytes of memory that it holds besides itself.
    pub const fn held(&self) -> usize {
        match self {
            Self::Tls(stream) => stream.held(),
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => 0,
        }
    }

    /// Whether a client that was just accepted has closed or reset its connection, and left nothing to read.
    pub fn is_gone(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peek = |socket: BorrowedFd<'_>| recv(socket, &mut [0; 1][..], flags);
        let peeked = match self {
            Self::Tcp(stream) => peek(stream.as_fd()),
            Self::Tls(stream) => peek(stream.socket().as_fd()),
            Self::Unix(stream) => peek(stream.as_fd()),
            Self::Memory(_) => return false,
        };
        match peeked {
            Ok((read, _)) => read == 0,
            Err(err) => err != Errno::AGAIN,
        }
    }

    /// Whether the peer is known to be gone for good: it has reset the connection, or vanished. A peer that has only
    /// closed its side may still read.
    pub fn is_broken(&self) -> bool {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => is_write_closed(stream.ready(both)),
            Self::Tls(stream) => is_write_closed(stream.socket().ready(both)),
            Self::Unix(stream) => is_write_closed(stream.ready(both)),
            Self::Memory(_) => false,
        }
    }
}

/// What is known now, without waiting.
fn is_write_closed(ready: impl Future<Output = io::Result<Ready>>) -> bool {
    let ready = pin!(ready).poll(&mut Context::from_waker(Waker::noop()));
    matches!(ready, Poll::Ready(Ok(ready)) if ready.is_write_closed())
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
