//! One connection of a device.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs, UnixStream};
use tokio::time::timeout;

use super::error::Error;
use super::incoming::{Event, Incoming};
use super::stream::Stream;
use super::tls::Tls;
use super::wire::Wire;
use crate::protocol::{ClientId, Frame, Id, Mode, Reply};

/// A device's side of a connection.
///
/// A call such as [`ping`](Self::ping) sends its frame and takes the next word as its answer. After pipelining
/// with [`write`](Self::write), read those answers first. Words and events that come while the other is awaited
/// are kept, up to [`MAX_KEPT`](Device::MAX_KEPT), and handed out later in their order.
///
/// Every wait has a deadline and ends with [`Error::Deadline`] when it passes. All state is in the device: a future that
/// is dropped has lost nothing, and a frame that it has begun to send is finished by the next call.
pub struct Device<S = Stream> {
    wire: Wire<S>,
    deadline: Duration,
    id: Option<ClientId>,
    // At most one of the two has anything: each grows only while the other is empty. So their order is not lost.
    replies: VecDeque<Reply>,
    events: VecDeque<Event>,
}

impl Device {
    /// The default deadline of a call.
    pub const DEADLINE: Duration = Duration::from_secs(10);

    /// Maximum events kept while a call waits for a word, and words kept while it waits for an event. One more is
    /// [`Error::Unread`], and nothing is lost by it.
    pub const MAX_KEPT: usize = 1024;

    /// Connects within [`DEADLINE`](Self::DEADLINE), without Nagle's delay.
    pub async fn connect(addr: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::connect_within(Self::DEADLINE, addr).await
    }

    /// Connects within `deadline`, which holds for every later call too.
    pub async fn connect_within(deadline: Duration, addr: impl ToSocketAddrs) -> Result<Self, Error> {
        let stream =
            within(deadline, "the connection", async { Ok(TcpStream::connect(addr).await?) }).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(Stream::Tcp(stream)).with_deadline(deadline))
    }

    /// Connects with TLS within `deadline`, which holds for every later call too.
    pub async fn connect_tls(deadline: Duration, addr: impl ToSocketAddrs, tls: &Tls) -> Result<Self, Error> {
        let connecting = async {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok(tls.connect(stream).await?)
        };
        let stream = within(deadline, "the connection", connecting).await?;
        Ok(Self::over(Stream::Tls(Box::new(stream))).with_deadline(deadline))
    }

    /// Connects to a Unix socket within `deadline`, which holds for every later call too.
    pub async fn connect_unix(deadline: Duration, path: impl AsRef<Path>) -> Result<Self, Error> {
        let stream =
            within(deadline, "the connection", async { Ok(UnixStream::connect(path).await?) }).await?;
        Ok(Self::over(Stream::Unix(stream)).with_deadline(deadline))
    }

    /// The server's end of the connection, for people: an address, or `unix:` and a path.
    pub fn server(&self) -> io::Result<String> {
        self.wire.stream.server()
    }

    /// This end of the connection.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.wire.stream.local_addr()
    }

    /// The server's end of the connection, while it is open.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.wire.stream.peer_addr()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Device<S> {
    /// A device on an open connection, such as a pipe in memory.
    pub fn over(stream: S) -> Self {
        Self {
            wire: Wire::new(stream),
            deadline: Device::DEADLINE,
            id: None,
            replies: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Every later call waits at most this long.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// AUTH. `auth_failure` is [`Error::Refused`], and the server closes.
    pub async fn auth(&mut self, id: &str) -> Result<(), Error> {
        let client = id.try_into()?;
        self.call(&Frame::Auth { client }, Reply::AuthOk).await?;
        self.id = Some(client.into());
        Ok(())
    }

    /// PING.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.call(&Frame::Ping, Reply::Pong).await
    }

    /// CONNECT. `connect_failure`, from a server that drains, is [`Error::Refused`].
    pub async fn request_session(&mut self) -> Result<(), Error> {
        self.call(&Frame::Connect, Reply::ConnectOk).await
    }

    /// SEND under the id of the last successful [`auth`](Self::auth). `send_failure` is [`Error::Refused`].
    pub async fn send(&mut self, data: &[u8]) -> Result<(), Error> {
        let id = self.id.clone().ok_or(Error::NotAuthenticated)?;
        self.send_under(id.as_id(), data).await
    }

    /// SEND under any id; the server accepts only the device's own. `send_failure` is [`Error::Refused`].
    pub async fn send_as(&mut self, id: &str, data: &[u8]) -> Result<(), Error> {
        self.send_under(id.try_into()?, data).await
    }

    /// SEND as a one-shot, on a connection without AUTH; the server answers and closes.
    pub async fn send_once(&mut self, id: &str, data: &[u8]) -> Result<(), Error> {
        self.call(&Frame::Send { mode: Mode::OneShot, client: id.try_into()?, data }, Reply::SendOk).await
    }

    /// PUBLISH. `pub_failure` is [`Error::Refused`].
    pub async fn publish(&mut self, to: &str, data: &[u8]) -> Result<(), Error> {
        self.call(&Frame::Publish { client: to.try_into()?, data }, Reply::PubOk).await
    }

    /// CMD_OK, which has no answer.
    pub async fn command_ok(&mut self, id: &str, data: &[u8]) -> Result<(), Error> {
        self.write(&Frame::CmdOk { command: id.try_into()?, data }).await
    }

    /// CMD_FAILURE, which has no answer.
    pub async fn command_failure(&mut self, id: &str, data: &[u8]) -> Result<(), Error> {
        self.write(&Frame::CmdFailure { command: id.try_into()?, data }).await
    }

    /// Sends a frame and does not wait for its answer. After [`Error::Io`] the server's last words can still be read.
    pub async fn write(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        within(self.deadline, "the server to read", self.wire.send(frame)).await
    }

    /// Sends bytes as they are, for tests of invalid input.
    pub async fn write_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        within(self.deadline, "the server to read", self.wire.send_raw(bytes)).await
    }

    /// The next word. Events that come before it are kept.
    pub async fn reply(&mut self) -> Result<Reply, Error> {
        within(self.deadline, "a reply", self.take_reply("a reply")).await
    }

    /// The next event. Words that come before it are kept.
    pub async fn event(&mut self) -> Result<Event, Error> {
        within(self.deadline, "an event", self.take_event()).await
    }

    /// The next word or event, or none once the server has closed.
    ///
    /// Cancel safe: dropped in a `tokio::select!`, it has lost nothing, neither a word nor a part of one.
    pub async fn next(&mut self) -> Result<Option<Incoming>, Error> {
        within(self.deadline, "a reply or an event", self.take()).await
    }

    /// Shuts down the sending side. What the server still sends can be read.
    pub async fn half_close(&mut self) -> Result<(), Error> {
        within(self.deadline, "the server to read", self.wire.half_close()).await
    }

    /// Waits until the server has closed. Anything else that comes, or is kept, is [`Error::Unexpected`].
    pub async fn closed(&mut self) -> Result<(), Error> {
        let expected = "the end of the connection";
        match within(self.deadline, expected, self.take()).await? {
            None => Ok(()),
            Some(got) => Err(Error::Unexpected { expected, got }),
        }
    }

    async fn send_under(&mut self, client: Id<'_>, data: &[u8]) -> Result<(), Error> {
        self.call(&Frame::Send { mode: Mode::Session, client, data }, Reply::SendOk).await
    }

    async fn call(&mut self, frame: &Frame<'_>, expected: Reply) -> Result<(), Error> {
        let got = within(self.deadline, expected.word(), self.ask(frame, expected)).await?;
        match (expected, got) {
            _ if got == expected => Ok(()),
            // These two may answer any frame: the auth timeout has passed, or an earlier frame was invalid.
            (_, Reply::AuthFailure | Reply::ProtocolError)
            | (Reply::ConnectOk, Reply::ConnectFailure)
            | (Reply::SendOk, Reply::SendFailure)
            | (Reply::PubOk, Reply::PubFailure) => Err(Error::Refused(got)),
            _ => Err(Error::Unexpected { expected: expected.word(), got: Incoming::Reply(got) }),
        }
    }

    async fn ask(&mut self, frame: &Frame<'_>, expected: Reply) -> Result<Reply, Error> {
        match self.wire.send(frame).await {
            Ok(()) => self.take_reply(expected.word()).await,
            // The last word of a server that has closed is worth more than a broken pipe.
            Err(broken @ Error::Io(_)) => self.take_reply(expected.word()).await.map_err(|_| broken),
            Err(err) => Err(err),
        }
    }

    async fn take(&mut self) -> Result<Option<Incoming>, Error> {
        if let Some(reply) = self.replies.pop_front() {
            return Ok(Some(Incoming::Reply(reply)));
        }
        match self.events.pop_front() {
            Some(event) => Ok(Some(Incoming::Event(event))),
            None => self.wire.receive().await,
        }
    }

    async fn take_reply(&mut self, awaited: &'static str) -> Result<Reply, Error> {
        if let Some(reply) = self.replies.pop_front() {
            return Ok(reply);
        }
        while self.events.len() < Device::MAX_KEPT {
            match self.wire.receive().await? {
                Some(Incoming::Reply(reply)) => return Ok(reply),
                Some(Incoming::Event(event)) => self.events.push_back(event),
                None => return Err(Error::Closed { awaited }),
            }
        }
        Err(Error::Unread { kept: self.events.len(), awaited })
    }

    async fn take_event(&mut self) -> Result<Event, Error> {
        let awaited = "an event";
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        while self.replies.len() < Device::MAX_KEPT {
            match self.wire.receive().await? {
                Some(Incoming::Event(event)) => return Ok(event),
                Some(Incoming::Reply(reply)) => self.replies.push_back(reply),
                None => return Err(Error::Closed { awaited }),
            }
        }
        Err(Error::Unread { kept: self.replies.len(), awaited })
    }
}

async fn within<T>(
    after: Duration,
    awaited: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(after, work).await.unwrap_or(Err(Error::Deadline { awaited, after }))
}
