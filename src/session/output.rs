//! The write side of the socket, and the socket's end.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, ready};

use log::trace;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock::Timer;
use super::guard::Guard;
use super::work::{Paused, Work};
use super::{Closing, Session};
use crate::listener::Stream;
use crate::logging::escape;

impl Session {
    /// Writes the bytes that can leave. Returns whether bytes that waited for this may now be read or decoded.
    pub(super) fn poll_write(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let Some(work) = self.work.as_deref_mut().filter(|work| !work.answers.out().is_empty()) else {
            return false;
        };
        let (stream, guard) = (&mut self.stream, &self.guard);
        let wrote = match guard.while_current(|| write(stream, work, guard, cx)) {
            Some(Ok(wrote)) => wrote,
            Some(Err(err)) => {
                self.socket_failed(&err);
                return true;
            }
            // A session that was taken over says nothing; it ends at its next turn.
            None => return false,
        };
        let is_paused = matches!(work.paused, Some(Paused::Own));
        // Without room, a session is not read until its answers have left.
        wrote && (is_paused || !self.host().budget(self.phase).has_room())
    }

    /// Ready when a closing session has finished.
    pub(super) fn poll_closed(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Some(closing) = self.closing else {
            return Poll::Pending;
        };
        let all_answered = self.work.as_ref().is_none_or(|work| work.all_answered());
        match closing {
            Closing::Now => Poll::Ready(()),
            Closing::Lingering => self.discard(cx),
            _ if !all_answered => Poll::Pending,
            Closing::LastWords => Poll::Ready(()),
            Closing::LastWordsAndLinger => {
                // After an error the peer is gone; the next read reports it.
                let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
                self.closing = Some(Closing::Lingering);
                self.guard.sign_off();
                let linger = self.after(self.host().setup.linger);
                self.work().clock.set(Timer::Close, linger);
                self.discard(cx)
            }
        }
    }

    /// Discards incoming bytes until the peer has closed too.
    fn discard(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let host = Rc::clone(&self.guard.host);
        let mut buffer = host.buffer();
        let mut buffer = ReadBuf::new(&mut buffer);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
        if read.is_err() || buffer.filled().is_empty() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Writes until all has left or the socket is full. Returns whether anything has left.
fn write(stream: &mut Stream, work: &mut Work, guard: &Guard, cx: &mut TaskContext<'_>) -> io::Result<bool> {
    let mut wrote = false;
    while !work.answers.out().is_empty() {
        let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, work.answers.out())? else {
            let host = &guard.host;
            work.clock.start(Timer::Write, host.roll.after(host.setup.settings.write_timeout));
            break;
        };
        trace!("sent peer={} \"{}\"", guard.peer(), escape(work.answers.out(), written));
        work.answers.left(written);
        work.clock.clear(Timer::Write);
        wrote = true;
    }
    Ok(wrote)
}
