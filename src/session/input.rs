//! From the socket to the handlers.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use actix::prelude::*;
use log::{debug, trace};
use tokio::io::{AsyncRead, ReadBuf};

use super::clock::Timer;
use super::cmd::CmdAnswer;
use super::connect::Connect;
use super::context::SessionContext;
use super::crash::AtFrame;
use super::host::READ;
use super::ping::Ping;
use super::publish::Publish;
use super::send::Send;
use super::work::{Paused, SIP, Skipping};
use super::{Closing, LOOK, Phase, ROOM, Session, auth::Auth};
use crate::faults::Point;
use crate::logging::escape;
use crate::protocol::codec::{self, Decoded, Head};
use crate::protocol::{ClientId, Frame, Id, Kind, Malformed, Mode, Reply};
use crate::stats::Ended;

/// Maximum bytes per read, and of unanswered data, of a session that has not authenticated.
const STRANGER: usize = 4096;

/// Room is granted in units of this size, or of the frame if that is larger.
const QUANTUM: usize = 4096;

/// Approximate overhead of a record.
const RECORD: usize = 32;

/// Maximum bytes of a frame's data in a log line.
const SHOWN: usize = 64;

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Nothing,
    Some,
    /// The read filled its limit, so there may be more.
    Full,
}

impl Session {
    /// Maximum bytes of the next read: 0 while the session is paused. Without room, a frame whose room was granted is
    /// read to its end, and a session with nothing unanswered is read in small steps, so that its PINGs are seen.
    pub(super) fn may_read(&self) -> usize {
        let work = self.work.as_deref();
        if self.closing.is_some() || work.is_some_and(|work| work.paused.is_some()) {
            return 0;
        }
        let most = if self.phase == Phase::Authenticated { READ } else { STRANGER };
        if self.host().budget(self.phase).has_room() {
            return most;
        }
        match work {
            Some(work) if work.begun > 0 => most.min(work.begun.saturating_sub(work.input.len())),
            Some(work) if work.unanswered() > 0 => 0,
            _ => SIP,
        }
    }

    fn has_own_room(&self) -> bool {
        let authenticated = self.phase == Phase::Authenticated;
        let most = if authenticated { self.host().settings().max_unanswered } else { STRANGER };
        self.work.as_ref().is_none_or(|work| work.unanswered() < most)
    }

    /// Reads once, and handles the received bytes.
    pub(super) fn poll_read(&mut self, ctx: &mut SessionContext, cx: &mut TaskContext<'_>) -> Read {
        let most = self.may_read();
        if most == 0 {
            return Read::Nothing;
        }
        if !self.may_go_on() {
            return Read::Nothing;
        }
        let host = Rc::clone(&self.guard.host);
        let mut buffer = host.buffer();
        let mut buffer = ReadBuf::new(buffer.get_mut(..most).unwrap_or_default());
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => return Read::Nothing,
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => self.peer_closed(),
            Poll::Ready(Ok(())) => self.received(buffer.filled(), ctx),
            Poll::Ready(Err(err)) => self.socket_failed(&err),
        }
        if buffer.remaining() == 0 { Read::Full } else { Read::Some }
    }

    /// Whether there is room for what the connection itself keeps; otherwise the session is paused.
    fn may_go_on(&mut self) -> bool {
        let held = self.stream.held();
        held <= SIP || self.has_room(held)
    }

    fn received(&mut self, bytes: &[u8], ctx: &mut SessionContext) {
        trace!("received peer={} \"{}\"", self.guard.peer(), escape(bytes, bytes.len()));
        self.is_not_idle();
        if self.phase == Phase::New {
            self.guard.heard();
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

    /// Decodes the waiting input, if the pause is over. Returns whether it is.
    pub(super) fn resume(&mut self, ctx: &mut SessionContext, cx: &TaskContext<'_>) -> bool {
        if self.work.as_deref().is_none_or(|work| work.paused.is_none()) {
            return false;
        }
        let (phase, has_own_room, is_too_fast) = (self.phase, self.has_own_room(), self.is_too_fast());
        let Some(work) = self.work.as_deref_mut() else { return false };
        match &mut work.paused {
            Some(Paused::LookUp) if phase != Phase::LookingUp => {}
            Some(Paused::Own) if has_own_room => {}
            Some(Paused::Rate) if !is_too_fast => {}
            Some(Paused::Budget(bytes, ticket)) => {
                match self.guard.host.budget(phase).poll_room(*bytes, ticket, cx) {
                    Poll::Pending => return false,
                    Poll::Ready(grant) => (work.granted, work.grant) = (grant.bytes(), Some(grant)),
                }
            }
            None | Some(Paused::LookUp | Paused::Own | Paused::Rate) => return false,
        }
        self.go_on(ctx);
        true
    }

    /// Decodes the waiting input. The frame timeout restarts, because it did not run during the pause.
    fn go_on(&mut self, ctx: &mut SessionContext) {
        let frame_timeout = self.after(self.host().settings().frame_timeout);
        self.is_not_idle();
        let work = self.work();
        work.paused = None;
        work.clock.clear(Timer::Room);
        work.clock.clear(Timer::Look);
        work.clock.clear(Timer::Rate);
        if work.clock.is_set(Timer::Frame) {
            work.clock.set(Timer::Frame, frame_timeout);
        }
        self.decode_input(ctx);
        self.note_pause();
    }

    /// The wait for room timed out: frames without room are refused.
    pub(super) fn refuse_for_lack_of_room(&mut self, ctx: &mut SessionContext) {
        self.work().refuses = true;
        self.go_on(ctx);
        self.work().refuses = false;
    }

    pub(super) fn look_after_peer(&mut self) {
        if self.stream.is_broken() {
            return self.close(Closing::Now, Ended::Reset, "while waiting for memory");
        }
        let look = self.after(LOOK);
        self.work().clock.set(Timer::Look, look);
    }

    /// The peer sent something, or got an answer. A new session is never idle: it has its auth timeout.
    pub(super) fn is_not_idle(&mut self) {
        let is_open = self.phase == Phase::Authenticated && self.closing.is_none();
        let idle_timeout = self.host().settings().idle_timeout;
        if is_open && self.host().drain.is_on() {
            self.drains();
        } else if let Some(idle_timeout) = idle_timeout.filter(|_| is_open) {
            self.idle_at = self.after(idle_timeout);
        }
    }

    fn note_pause(&mut self) {
        let paused = match self.phase {
            Phase::LookingUp => Paused::LookUp,
            _ if !self.has_own_room() => Paused::Own,
            _ => return self.keep_pace(),
        };
        if self.closing.is_none() {
            self.work().paused.get_or_insert(paused);
        }
    }

    /// Whether a frame of this size may be taken in. Otherwise the session is paused until there is room, or the frame
    /// must be refused.
    fn has_room(&mut self, bytes: usize) -> bool {
        self.host().budget(self.phase).has_room() || self.has_granted_room(bytes)
    }

    /// The same while the budget has no room: apart, so that a frame for which there is room takes no call.
    fn has_granted_room(&mut self, bytes: usize) -> bool {
        let work = self.work();
        if work.begun > 0 {
            return true;
        }
        if work.granted > 0 {
            work.granted = work.granted.saturating_sub(bytes);
            return true;
        }
        if !work.refuses {
            self.wait_for_room(bytes.max(QUANTUM));
        }
        false
    }

    fn wait_for_room(&mut self, bytes: usize) {
        let (room, look) = (self.after(ROOM), self.after(LOOK));
        let work = self.work();
        work.paused = Some(Paused::Budget(bytes, None));
        work.clock.start(Timer::Room, room);
        work.clock.start(Timer::Look, look);
    }

    fn decode_input(&mut self, ctx: &mut SessionContext) {
        let mut input = std::mem::take(&mut self.work().input);
        let undecoded = self.decode(&input, ctx).len();
        input.drain(..input.len() - undecoded);
        if self.closing.is_none() && !input.is_empty() {
            let work = self.work();
            // The memory of a frame is allocated once, not again with each read.
            input.reserve_exact(work.begun.saturating_sub(input.len()));
            work.input = input;
        }
    }

    fn keep(&mut self, undecoded: &[u8]) {
        if self.closing.is_none() && !undecoded.is_empty() {
            let work = self.work();
            work.input.reserve_exact(work.begun.max(undecoded.len()));
            work.input.extend_from_slice(undecoded);
        }
    }

    /// Handles complete frames in order, until a frame closes the session, needs a look-up, or finds no room. Returns
    /// the remaining input.
    fn decode<'a>(&mut self, input: &'a [u8], ctx: &mut SessionContext) -> &'a [u8] {
        let before = self.guard.frames;
        let undecoded = self.decode_frames(input, ctx);
        self.guard.stats().frames.add(self.guard.frames - before);
        undecoded
    }

    fn decode_frames<'a>(&mut self, mut input: &'a [u8], ctx: &mut SessionContext) -> &'a [u8] {
        let max_frame = self.host().settings().max_frame;
        // It cannot change here: a session that gets its id decodes nothing until then.
        let own = self.guard.client().cloned();
        let own = own.as_ref().map(ClientId::as_id);
        loop {
            input = self.skip(input);
            if self.closing.is_some() || self.phase == Phase::LookingUp || !self.has_own_room() {
                return input;
            }
            if self.is_too_fast() {
                return input;
            }
            input = input.get(codec::padding(input)..).unwrap_or_default();
            if input.is_empty() {
                return input;
            }
            match codec::decode_from(own, input, max_frame) {
                Ok(Decoded::Frame(Frame::Send { mode, .. }, len)) if !self.takes(mode, len) => {
                    if self.work().paused.is_some() {
                        return input;
                    }
                    self.refuse_send(mode);
                    input = input.get(len..).unwrap_or_default();
                }
                Ok(Decoded::Frame(frame, len)) => {
                    self.dispatch(frame, len, ctx);
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

    /// Whether there is room for a SEND that will be stored.
    fn takes(&mut self, mode: Mode, len: usize) -> bool {
        let is_kept = match mode {
            Mode::Session => self.phase == Phase::Authenticated,
            Mode::OneShot => self.phase == Phase::New,
        };
        !is_kept || self.has_room(len + RECORD)
    }

    fn dispatch(&mut self, frame: Frame<'_>, len: usize, ctx: &mut SessionContext) {
        let at_frame = AtFrame::new(frame.kind(), len);
        self.host().setup.faults.trip(Point::Frame);
        self.guard.frames += 1;
        self.spend(1, len);
        if let Some(work) = &mut self.work {
            work.clock.clear(Timer::Frame);
            work.begun = 0;
        }
        debug!(
            "frame peer={} {:?} id={:?} data=\"{}\"",
            self.guard.peer(),
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
            // Only the server sends it; the codec rejects it.
            Frame::Cmd { .. } => {}
        }
        at_frame.over();
    }

    /// A frame has begun, and its end is missing. The data of a frame that will be refused is not kept.
    fn begun<'a>(&mut self, head: Option<Head>, input: &'a [u8]) -> &'a [u8] {
        if self.phase == Phase::Authenticated {
            let frame_timeout = self.after(self.host().settings().frame_timeout);
            self.work().clock.start(Timer::Frame, frame_timeout);
        }
        let Some(Head { mode, kind, len }) = head else { return input };
        let skips = match (self.phase, mode) {
            (Phase::Authenticated, Mode::OneShot) => {
                self.one_shot_on_session();
                return &[];
            }
            (Phase::New, Mode::Session) => true,
            _ => !self.has_room(len),
        };
        let work = self.work();
        if work.paused.is_some() {
            return input;
        }
        if skips {
            work.skipping = Some(Skipping { kind, left: len - input.len() });
            return &[];
        }
        work.begun = len;
        input
    }

    /// Skips the data of a refused frame, and answers the refusal when all of it has arrived.
    fn skip<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let Some(skipping) = self.work.as_mut().and_then(|work| work.skipping.as_mut()) else {
            return input;
        };
        let Some(rest) = input.get(skipping.left..) else {
            skipping.left -= input.len();
            self.spend(0, input.len());
            return &[];
        };
        let (kind, left) = (skipping.kind, skipping.left);
        self.work().skipping = None;
        self.spend(1, left);
        self.guard.frames += 1;
        self.refuse(kind);
        rest
    }

    /// Answers a frame that requires an authenticated session.
    pub(super) fn refuse(&mut self, kind: Kind) {
        match kind {
            Kind::Send => self.not_stored(),
            Kind::Publish => self.work().answers.word(Reply::PubFailure),
            _ => self.guard.stats().ignored_answers.one(),
        }
    }

    fn malformed(&mut self, malformed: Malformed) {
        self.close_with(Reply::ProtocolError, Ended::ProtocolError, malformed);
    }

    fn peer_closed(&mut self) {
        let truncated =
            self.work.as_ref().is_some_and(|work| !work.input.is_empty() || work.skipping.is_some());
        let reason = if truncated { Ended::Truncated } else { Ended::PeerClosed };
        self.guard.leaves();
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
