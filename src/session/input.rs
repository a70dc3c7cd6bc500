//! From the socket to the handlers.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::prelude::*;
use log::{debug, trace};
use tokio::io::{AsyncRead, ReadBuf};

use super::clock::Timer;
use super::cmd::CmdAnswer;
use super::connect::Connect;
use super::ping::Ping;
use super::publish::Publish;
use super::send::Send;
use super::work::{Skipping, Work};
use super::{Closing, Phase, Session, auth::Auth};
use crate::logging::escape;
use crate::protocol::codec::{self, Decoded, Head, Malformed};
use crate::protocol::{Frame, Id, Kind, Mode, Reply};
use crate::stats::Ended;

/// The most bytes of a read while all sessions together have too much unanswered.
const SIP: usize = 512;

/// How much of a frame's data a line of the log shows, in bytes.
const SHOWN: usize = 64;

impl Session {
    /// Whether bytes may come: not while a look-up is under way, nor while too much is unanswered.
    pub(super) fn may_read(&self) -> bool {
        self.closing.is_none() && self.phase != Phase::LookingUp && self.has_room() && !self.needs_budget()
    }

    fn has_room(&self) -> bool {
        let most = self.host().setup.settings.max_unanswered;
        self.work.as_ref().is_none_or(|work| work.unanswered() < most)
    }

    /// Whether the session has to wait until all of them together have less unanswered. One that has sent nothing has not.
    /// Whoever is told to wait is noted: by the time that it queues there may be room again, and nobody would wake it.
    pub(super) fn needs_budget(&self) -> bool {
        let needs_some = |work: &&Work| work.waits_for_budget || !work.is_stored();
        match self.work.as_deref().filter(needs_some) {
            Some(work) if !self.host().intake.budget().has_room() => {
                work.starved.set(true);
                true
            }
            _ => false,
        }
    }

    /// Reads once, and handles what came. Whether anything did.
    pub(super) fn poll_read(&mut self, ctx: &mut Context<Self>, cx: &mut TaskContext<'_>) -> bool {
        if !self.may_read() {
            return false;
        }
        let host = Rc::clone(&self.guard.host);
        let mut buffer = host.buffer();
        // Where there is no room, a read is to find out whether it is a PING.
        let most = if host.intake.budget().has_room() { buffer.len() } else { SIP };
        let mut buffer = ReadBuf::new(buffer.get_mut(..most).unwrap_or_default());
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => self.peer_closed(),
            Poll::Ready(Ok(())) => self.received(buffer.filled(), ctx),
            Poll::Ready(Err(err)) => self.socket_failed(&err),
        }
        true
    }

    fn received(&mut self, bytes: &[u8], ctx: &mut Context<Self>) {
        trace!("received peer={} \"{}\"", self.guard.peer, escape(bytes, bytes.len()));
        if let Some(idle_timeout) = self.idle_timeout() {
            self.work().clock.set(Timer::Idle, idle_timeout);
        }
        match self.work.as_mut().filter(|work| !work.input.is_empty()) {
            Some(work) => {
                work.input.extend_from_slice(bytes);
                self.decode_input(ctx);
            }
            None => {
                let undecoded = self.decode(bytes, ctx);
                self.keep(undecoded);
            }
        }
        self.note_pause();
    }

    /// Decodes what had to wait, if the pause is over. Whether it is.
    pub(super) fn resume(&mut self, ctx: &mut Context<Self>) -> bool {
        if !self.work.as_ref().is_some_and(|work| work.paused) || !self.may_read() {
            return false;
        }
        let (frame_timeout, idle_timeout) = (self.host().setup.settings.frame_timeout, self.idle_timeout());
        let work = self.work();
        work.paused = false;
        work.waits_for_budget = false;
        work.clock.resume(frame_timeout, idle_timeout);
        self.decode_input(ctx);
        self.note_pause();
        true
    }

    /// A new session is not idle: it has its auth timeout.
    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        let is_open = self.phase == Phase::Authenticated && self.closing.is_none();
        self.host().setup.settings.idle_timeout.filter(|_| is_open)
    }

    fn note_pause(&mut self) {
        if self.closing.is_none() && !self.may_read() {
            self.work().paused = true;
        }
    }

    fn decode_input(&mut self, ctx: &mut Context<Self>) {
        let mut input = std::mem::take(&mut self.work().input);
        let undecoded = self.decode(&input, ctx).len();
        input.drain(..input.len() - undecoded);
        if self.closing.is_none() && !input.is_empty() {
            self.work().input = input;
        }
    }

    fn keep(&mut self, undecoded: &[u8]) {
        if self.closing.is_none() && !undecoded.is_empty() {
            self.work().input.extend_from_slice(undecoded);
        }
    }

    /// Handles the frames that are whole, one after the other, until one closes, has to be looked up, or leaves no room.
    /// What is left is returned.
    fn decode<'a>(&mut self, input: &'a [u8], ctx: &mut Context<Self>) -> &'a [u8] {
        let before = self.guard.frames;
        let undecoded = self.decode_frames(input, ctx);
        self.guard.host.setup.stats.frames.add(self.guard.frames - before);
        undecoded
    }

    fn decode_frames<'a>(&mut self, mut input: &'a [u8], ctx: &mut Context<Self>) -> &'a [u8] {
        let max_frame = self.host().setup.settings.max_frame;
        loop {
            input = self.skip(input);
            if !self.may_read() {
                return input;
            }
            input = input.get(codec::padding(input)..).unwrap_or_default();
            if input.is_empty() {
                return input;
            }
            match codec::decode(input, max_frame) {
                Ok(Decoded::Frame(frame, _)) if self.waits_for_budget(frame.kind()) => return input,
                Ok(Decoded::Frame(frame, len)) => {
                    self.dispatch(frame, ctx);
                    input = input.get(len..).unwrap_or_default();
                }
                Ok(Decoded::Partial(head)) => return self.begun(head, input),
                Err(malformed) => {
                    self.malformed(malformed);
                    return &[];
                }
            }
        }
    }

    /// Whether a frame of this kind has to wait until all sessions together have less unanswered.
    fn waits_for_budget(&mut self, kind: Kind) -> bool {
        let waits = kind == Kind::Send
            && self.phase == Phase::Authenticated
            && !self.host().intake.budget().has_room();
        if waits {
            let work = self.work();
            work.waits_for_budget = true;
            // Not for `note_pause` to find out: another thread may have made room by then.
            work.paused = true;
        }
        waits
    }

    fn dispatch(&mut self, frame: Frame<'_>, ctx: &mut Context<Self>) {
        self.guard.frames += 1;
        if let Some(work) = &mut self.work {
            work.clock.clear(Timer::Frame);
        }
        debug!(
            "frame peer={} {:?} id={:?} data=\"{}\"",
            self.guard.peer,
            frame.kind(),
            frame.id().map_or("", Id::as_str),
            escape(frame.data(), SHOWN)
        );
        match frame {
            Frame::Ping => self.handle(Ping, ctx),
            Frame::Connect => self.handle(Connect, ctx),
            Frame::Auth { client } => self.handle(Auth { client }, ctx),
            Frame::Send { mode, client, data } => self.handle(Send { mode, client, data }, ctx),
            Frame::Publish { .. } => self.handle(Publish, ctx),
            Frame::CmdOk { .. } | Frame::CmdFailure { .. } => self.handle(CmdAnswer, ctx),
            // Only the server sends it, and the codec says so.
            Frame::Cmd { .. } => {}
        }
    }

    /// A frame has begun, and its end is still to come. The data of one that will be refused is not kept.
    fn begun<'a>(&mut self, head: Option<Head>, input: &'a [u8]) -> &'a [u8] {
        let frame_timeout = self.host().setup.settings.frame_timeout;
        match (self.phase, head) {
            (Phase::New, Some(Head { mode: Mode::Session, kind, len })) => {
                self.work().skipping = Some(Skipping { kind, left: len - input.len() });
                return &[];
            }
            (Phase::Authenticated, Some(Head { mode: Mode::OneShot, .. })) => {
                self.one_shot_on_session();
                return &[];
            }
            (Phase::Authenticated, head) => {
                self.work().clock.start(Timer::Frame, frame_timeout);
                if let Some(head) = head {
                    self.waits_for_budget(head.kind);
                }
            }
            _ => {}
        }
        input
    }

    /// Skips the data of a refused frame, and refuses it when all of it has come.
    fn skip<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let Some(skipping) = self.work.as_mut().and_then(|work| work.skipping.as_mut()) else {
            return input;
        };
        let Some(rest) = input.get(skipping.left..) else {
            skipping.left -= input.len();
            return &[];
        };
        let kind = skipping.kind;
        self.work().skipping = None;
        self.guard.frames += 1;
        self.refuse(kind);
        rest
    }

    /// Answers a frame that only an authenticated session may send.
    pub(super) fn refuse(&mut self, kind: Kind) {
        match kind {
            Kind::Send => self.not_stored(),
            Kind::Publish => self.work().answers.word(Reply::PubFailure),
            _ => self.guard.host.setup.stats.ignored_answers.one(),
        }
    }

    fn malformed(&mut self, malformed: Malformed) {
        self.close_with(Reply::ProtocolError, Ended::ProtocolError, malformed);
    }

    fn peer_closed(&mut self) {
        let truncated =
            self.work.as_ref().is_some_and(|work| !work.input.is_empty() || work.skipping.is_some());
        let reason = if truncated { Ended::Truncated } else { Ended::PeerClosed };
        self.close(Closing::LastWords, reason, "");
    }

    pub(super) fn socket_failed(&mut self, err: &io::Error) {
        let (reason, detail) = match err.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => (Ended::Reset, String::new()),
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => (Ended::Vanished, String::new()),
            _ => (Ended::SocketError, err.to_string()),
        };
        self.close(Closing::Now, reason, detail);
    }
}
