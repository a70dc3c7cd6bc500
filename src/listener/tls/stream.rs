//! TLS over a socket: the [`Engine`] with the buffers of its thread.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::CertificateDer;
use rustls::server::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::config::Loaded;
use super::engine::{Engine, RECORD};
use super::names::Identity;

/// The most bytes of a read.
const READ: usize = 32 * 1024;

/// The least bytes that a read may bring, also for a reader that has less room.
const LEAST: usize = 4096;

/// Room beside a record for what the protocol itself has to say.
const ASIDE: usize = 1024;

/// Reads without a byte for the reader before the other connections of the thread get a turn.
const ROUNDS: usize = 4;

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers::new());
}

/// What all TLS connections of a thread share.
struct Buffers {
    input: Box<[u8]>,
    output: Box<[u8]>,
}

impl Buffers {
    fn new() -> Self {
        // What a connection keeps is less than a record and one read; the next read follows it.
        let input = vec![0; RECORD + LEAST + READ].into();
        Self { input, output: vec![0; RECORD + ASIDE].into() }
    }
}

/// The server's side of a TLS connection. An idle one has no buffer, and before its first byte none of the state of TLS.
///
/// A write is complete when the socket has all of it, so nothing has to be flushed. A write that returned `Pending` must be
/// repeated with the same bytes, and may have more of them behind.
#[derive(Debug)]
pub struct Tls {
    socket: TcpStream,
    state: State,
    identity: Option<Identity>,
    /// Plaintext of which the record is partly in `unsent`.
    begun: usize,
    is_closed: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing was received.
    Silent(Arc<ServerConfig>),
    Open(Engine),
    Failed,
}

impl Tls {
    /// A connection on which the peer begins its handshake. Reads and writes need a complete one.
    pub fn new(socket: TcpStream, loaded: &Loaded) -> Self {
        let (state, identity) = (State::Silent(Arc::clone(&loaded.config)), loaded.identity);
        Self { socket, state, identity, begun: 0, is_closed: false }
    }

    /// The socket.
    pub const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The certificate of the client, after the handshake.
    pub fn client_certificate(&self) -> Option<&CertificateDer<'static>> {
        let State::Open(engine) = &self.state else { return None };
        engine.conn().peer_certificates()?.first()
    }

    /// Bytes of memory that it holds for records which are not complete, not read, or not sent.
    pub const fn held(&self) -> usize {
        match &self.state {
            State::Open(engine) => engine.held(),
            State::Silent(_) | State::Failed => 0,
        }
    }

    /// Whether the certificate of the client is one of this id, if it must be.
    pub fn allows(&self, id: &str) -> bool {
        let is_of = |identity: Identity| {
            self.client_certificate().is_some_and(|certificate| identity.allows(certificate, id))
        };
        self.identity.is_none_or(is_of)
    }

    /// Whether the peer has not sent anything.
    pub const fn is_silent(&self) -> bool {
        matches!(self.state, State::Silent(_))
    }

    pub(crate) const fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Ready with `true` when the handshake is complete, and with `false` when the socket has something for
    /// [`poll_step`](Self::poll_step).
    pub(super) fn poll_shaken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        ready!(self.poll_unsent(cx))?;
        if matches!(&self.state, State::Open(engine) if engine.is_established()) {
            return Poll::Ready(Ok(true));
        }
        self.socket.poll_read_ready(cx).map_ok(|()| false)
    }

    /// Performs a part of the handshake: one read.
    pub(super) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_receive(cx, &mut ReadBuf::new(&mut []))
    }

    fn engine(&mut self) -> io::Result<&mut Engine> {
        if let State::Silent(config) = &self.state {
            let engine = Engine::new(Arc::clone(config)).map_err(failed)?;
            self.state = State::Open(engine);
        }
        match &mut self.state {
            State::Open(engine) => Ok(engine),
            State::Silent(_) | State::Failed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends what has been encrypted.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Open(Engine { unsent, .. }) = &mut self.state else {
            return Poll::Ready(Ok(()));
        };
        while !unsent.is_empty() {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, unsent))?;
            unsent.drain(..sent);
        }
        *unsent = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Receives once, and processes what has come.
    fn poll_receive(&mut self, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        BUFFERS.with_borrow_mut(|Buffers { input, .. }| {
            let (held, has_records) = match &self.state {
                State::Open(engine) => (engine.load(input), engine.has_records()),
                State::Silent(_) | State::Failed => (0, false),
            };
            let mut len = held;
            if !has_records {
                let most = held + to.remaining().clamp(LEAST, READ);
                let mut read = ReadBuf::new(input.get_mut(held..most).unwrap_or_default());
                ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read))?;
                len += read.filled().len();
                if len == held {
                    return Poll::Ready(self.end());
                }
            }
            // Here is the first byte, for which the state of TLS is made.
            let received = self.engine()?.receive(input.get_mut(..len).unwrap_or_default(), to);
            Poll::Ready(received.map_err(|err| self.fail(cx, err)))
        })
    }

    fn end(&mut self) -> io::Result<()> {
        if let State::Open(engine) = &mut self.state
            && engine.end()
        {
            return Ok(());
        }
        let place = match &self.state {
            State::Open(engine) if engine.is_established() => "in the middle of a TLS record",
            State::Silent(_) => "before the TLS handshake",
            State::Open(_) | State::Failed => "in the TLS handshake",
        };
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the peer closed the connection {place}")))
    }

    /// The peer learns of the error from an alert, if the socket takes it.
    fn fail(&mut self, cx: &mut Context<'_>, err: rustls::Error) -> io::Error {
        let _ = self.poll_unsent(cx);
        self.state = State::Failed;
        failed(err)
    }

    /// Encrypts the beginning of `plain`, and sends what the socket takes. Returns the encrypted part of `plain`.
    fn encrypt(&mut self, cx: &mut Context<'_>, plain: &[u8]) -> io::Result<usize> {
        BUFFERS.with_borrow_mut(|buffers| {
            let output = &mut buffers.output;
            let engine = self.engine()?;
            let (taken, len) = engine.encrypt(plain, output).map_err(failed)?;
            let mut record = output.get(..len).unwrap_or_default();
            // Before the record: a new key that it is encrypted with.
            if !engine.unsent.is_empty() {
                engine.unsent.extend_from_slice(record);
                return Ok(taken);
            }
            if let Poll::Ready(sent) = Pin::new(&mut self.socket).poll_write(cx, record) {
                record = record.get(sent?..).unwrap_or_default();
            }
            self.engine()?.unsent.extend_from_slice(record);
            Ok(taken)
        })
    }

    /// Says goodbye, once.
    fn close_notify(&mut self) {
        let State::Open(engine) = &mut self.state else { return };
        if !std::mem::replace(&mut self.is_closed, true) {
            // Without it, the peer sees the end of the connection all the same.
            let _ = engine.close_notify();
        }
    }
}

fn failed(err: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, err)
}

impl AsyncRead for Tls {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        for _ in 0..ROUNDS {
            let engine = this.engine()?;
            if engine.read_waiting(buf) || engine.is_ended() || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            // Answers of the protocol: a peer that does not read them is not read either. What a writer has begun is the
            // writer's to finish.
            if this.begun == 0 {
                ready!(this.poll_unsent(cx))?;
            }
            ready!(this.poll_receive(cx, buf))?;
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncWrite for Tls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(cx))?;
        if this.begun == 0 && !buf.is_empty() {
            this.begun = this.encrypt(cx, buf)?;
            ready!(this.poll_unsent(cx))?;
        }
        Poll::Ready(Ok(std::mem::take(&mut this.begun)))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_unsent(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.close_notify();
        ready!(this.poll_unsent(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

impl Drop for Tls {
    /// Also a connection that is simply dropped ends with a goodbye, unless a record is cut off.
    fn drop(&mut self) {
        if self.begun == 0 {
            self.close_notify();
            if let State::Open(engine) = &self.state {
                // One try: nothing waits for a peer that does not read.
                let _ = self.socket.try_write(&engine.unsent);
            }
        }
    }
}
