//! The write side of the socket, and the socket's end.

use log::trace;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock::Timer;
use super::work::Paused;
use super::{Closing, Session};
use crate::logging::escape;

impl Session {
    /// Writes the bytes that can leave. Returns whether bytes that waited for this may now be read or decoded.
    pub(super) fn poll_write(&mut self, cx: &mut TaskContext<'_>) -> bool {
        if self.work.as_ref().is_none_or(|work| work.answers.out().is_empty()) {
            return false;
        }
        // A session that was taken over says nothing; the message that ends it is on its way.
        if self.guard.while_current(|| ()).is_none() {
            return false;
        }
        let Some(work) = self.work.as_mut() else {
            return false;
        };
        let mut wrote = false;
        while !work.answers.out().is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, work.answers.out()) {
                Poll::Pending => {
                    let host = &self.guard.host;
                    work.clock.start(Timer::Write, host.roll.after(host.settings().write_timeout));
                    break;
                }
                Poll::Ready(Ok(written)) => {
                    trace!("sent peer={} \"{}\"", self.guard.peer, escape(work.answers.out(), written));
                    work.answers.left(written);
                    work.clock.clear(Timer::Write);
                    wrote = true;
                }
                Poll::Ready(Err(err)) => {
                    self.socket_failed(&err);
                    return true;
                }
            }
        }
        let is_paused = self.work.as_ref().is_some_and(|work| matches!(work.paused, Some(Paused::Own)));
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
