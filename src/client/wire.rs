//! The bytes in both directions. All state is here and none in a future, so dropping a future loses nothing.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::error::Error;
use super::incoming::Incoming;
use crate::protocol::codec::{decode_answer, encode};
use crate::protocol::{Frame, MAX_DATA, MAX_ID};

/// Bytes asked for in one read.
const READ: usize = 8 * 1024;

/// Maximum bytes read ahead while a write waits: room for the longest frame and more.
const MAX_AHEAD: usize = 2 * (4 + MAX_ID + MAX_DATA);

pub(super) struct Wire<S> {
    pub(super) stream: S,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, incoming: BytesMut::new(), outgoing: BytesMut::new() }
    }

    /// The next word or event, or none at the end of the stream.
    pub(super) async fn receive(&mut self) -> Result<Option<Incoming>, Error> {
        loop {
            if let Some((answer, len)) = decode_answer(&self.incoming)? {
                let incoming = answer.try_into()?;
                self.incoming.advance(len);
                return Ok(Some(incoming));
            }
            if !self.fill().await? {
                break;
            }
        }
        match self.incoming.len() {
            0 => Ok(None),
            got => Err(Error::Truncated { got }),
        }
    }

    /// Sends `frame` after the rest of a dropped call, so that at most one frame is ever kept.
    pub(super) async fn send(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        self.flush().await?;
        encode(frame, &mut self.outgoing)?;
        Ok(self.flush().await?)
    }

    pub(super) async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.flush().await?;
        self.outgoing.extend_from_slice(bytes);
        Ok(self.flush().await?)
    }

    pub(super) async fn half_close(&mut self) -> Result<(), Error> {
        self.flush().await?;
        Ok(self.stream.shutdown().await?)
    }

    /// Reads ahead while the server does not read: it may wait for this side to read.
    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            let sent = self.poll_send(cx);
            if sent.is_pending() {
                self.read_ahead(cx)?;
            }
            sent
        })
        .await
    }

    /// Whether more bytes arrived. The rest of a dropped write is sent at the same time.
    async fn fill(&mut self) -> io::Result<bool> {
        poll_fn(|cx| {
            let received = self.poll_receive(cx);
            if received.is_pending() {
                let _ = self.poll_send(cx)?;
            }
            received
        })
        .await
    }

    fn read_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.incoming.len() < MAX_AHEAD {
            match self.poll_receive(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Err(err)) => return Err(err),
                Poll::Ready(Ok(false)) | Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.incoming.reserve(READ);
        let read = ready!(pin!(self.stream.read_buf(&mut self.incoming)).poll(cx))?;
        Poll::Ready(Ok(read > 0))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(pin!(self.stream.write_all_buf(&mut self.outgoing)).poll(cx))?;
        pin!(self.stream.flush()).poll(cx)
    }
}
