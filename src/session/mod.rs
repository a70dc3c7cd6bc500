//! Sessions: one actor per connection, which speaks the trap protocol.
//!
//! A session lives on the thread whose acceptor took it. It polls its own socket, decodes where the bytes stand, and calls
//! the [`Handler`] of each frame's message itself: a message to itself through the mailbox would box every frame, and break
//! one write per read. The mailbox is for the others: [`Kick`](crate::registry::Kick).
//!
//! | file | subject |
//! |---|---|
//! | `mod.rs` | the session and its turn: what happens each time that it wakes up |
//! | `input.rs` `output.rs` | the two directions of its socket |
//! | `ping.rs` … `cmd.rs` `wait_for_auth.rs` | a message and its handler each |
//! | `answers.rs` `clock.rs` `work.rs` | the order of answers, deadlines, what is lent to it while it is at work |
//! | `guard.rs` | what is undone when it ends |
//! | `host.rs` | what the sessions of a thread share |

mod answers;
mod auth;
mod clock;
mod cmd;
mod connect;
mod guard;
mod host;
mod input;
mod output;
mod ping;
mod publish;
mod send;
mod takeover;
mod wait_for_auth;
mod work;

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::prelude::*;
use log::error;

use self::clock::Timer;
use self::guard::Guard;
use self::host::Host;
use self::wait_for_auth::WaitForAuth;
use self::work::Work;
use crate::faults::Point;
use crate::listener::{Connection, Stream};
use crate::logging::Claim;
use crate::protocol::Reply;
use crate::stats::Ended;

pub use host::{Open, Setup, install, stop_all};

/// How often a session goes round before it lets the others of its thread have a turn.
const ROUNDS: usize = 8;

/// How long the registry, after the credentials, and the uplink have for an answer.
const REGISTRY: Duration = Duration::from_secs(5);
const STORE: Duration = Duration::from_secs(30);

/// Starts the session of a connection on the present thread, see [`install`].
pub fn start(connection: Connection) {
    let Some(host) = Host::present() else {
        error!("no sessions on this thread: {} is closed", connection.peer);
        return;
    };
    let Connection { stream, peer, listener, permit } = connection;
    let guard = Guard::new(host, listener, peer, permit);
    let mut session = Session { stream, guard, phase: Phase::New, work: None, closing: None };
    let auth_timeout = session.host().setup.settings.auth_timeout;
    session.work().clock.set(Timer::Auth, auth_timeout);
    session.start();
}

/// A connection of a device.
pub struct Session {
    stream: Stream,
    guard: Guard,
    phase: Phase,
    work: Option<Box<Work>>,
    closing: Option<Closing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    /// An AUTH or a one-shot SEND is being looked up; everything behind it waits.
    LookingUp,
    Authenticated,
}

/// How far a session that decodes nothing any more has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// What is pending is still answered; then the socket is closed at once, for the peer has closed its side.
    LastWords,
    /// The same, but then the server's side is shut down, and what still arrives is discarded for a moment: a reset would
    /// destroy the last word on its way.
    LastWordsAndLinger,
    /// The server's side is shut down.
    Lingering,
    /// There is nothing to be said, or nobody to hear it.
    Now,
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.spawn(Pump);
    }
}

/// Drives a session from within its own context.
struct Pump;

impl ActorFuture<Session> for Pump {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        session: &mut Session,
        ctx: &mut Context<Session>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<()> {
        // The session's last line tells of a panic, and whose it was.
        let _claim = Claim::lay();
        let turn = session.turn(ctx, cx);
        if turn.is_ready() {
            ctx.stop();
        }
        turn
    }
}

impl Session {
    /// Does what can be done now. Ready when the session is over.
    fn turn(&mut self, ctx: &mut Context<Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.guard.list(cx.waker());
        self.host().setup.faults.trip(Point::Session);
        for _ in 0..ROUNDS {
            // Whoever was taken over is told nothing, not even what the uplink answers at this moment.
            if self.closing == Some(Closing::Now) {
                return Poll::Ready(());
            }
            let moved = self.round(ctx, cx);
            if self.poll_closed(cx).is_ready() {
                return Poll::Ready(());
            }
            if moved {
                continue;
            }
            match self.due(cx) {
                Some(timer) => self.time_is_up(timer, ctx),
                None => {
                    self.queue_for_budget(cx);
                    self.give_work_back();
                    return Poll::Pending;
                }
            }
        }
        // Whoever keeps the session busy does not escape its deadlines.
        if let Some(timer) = self.due(cx) {
            self.time_is_up(timer, ctx);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Answers come in, frames come in, answers go out. Whether there may be more to do at once.
    fn round(&mut self, ctx: &mut Context<Self>, cx: &mut TaskContext<'_>) -> bool {
        let answered = self.poll_look_up(cx) | self.poll_stored(cx);
        let resumed = self.resume(ctx);
        let read = self.poll_read(ctx, cx);
        if self.host().stopping() {
            self.stop();
        }
        let handed_over = self.hand_over();
        let written = self.poll_write(cx);
        answered | resumed | read | handed_over | written
    }

    /// The server stops: this was the last read, unless what came with it still waits to be decoded.
    fn stop(&mut self) {
        if !self.work.as_ref().is_some_and(|work| work.paused) {
            self.close(Closing::LastWordsAndLinger, Ended::Shutdown, "");
        }
    }

    fn queue_for_budget(&mut self, cx: &TaskContext<'_>) {
        if let Some(work) = self.work.as_mut().filter(|work| work.starved.take()) {
            self.guard.host.intake.budget().wake_when_there_is_room(cx.waker(), &mut work.ticket);
        }
    }

    fn due(&mut self, cx: &mut TaskContext<'_>) -> Option<Timer> {
        let reading = self.may_read();
        let work = self.work.as_mut()?;
        let idle = reading && work.is_stored();
        work.clock.poll(reading, idle, cx)
    }

    fn time_is_up(&mut self, timer: Timer, ctx: &mut Context<Self>) {
        match timer {
            Timer::Auth => self.handle(WaitForAuth, ctx),
            Timer::LookUp => self.look_up_takes_too_long(),
            Timer::Frame => {
                self.close_with(
                    Reply::ProtocolError,
                    Ended::FrameTimeout,
                    "the frame was not finished in time",
                );
            }
            Timer::Idle => self.close(Closing::LastWordsAndLinger, Ended::IdleTimeout, ""),
            Timer::Store => self.uplink_takes_too_long(),
            Timer::Write => {
                self.stream.reset_on_close();
                self.close(Closing::Now, Ended::WriteTimeout, "the peer does not read its answers");
            }
            Timer::Close => {
                if self.closing != Some(Closing::Lingering) {
                    self.stream.reset_on_close();
                }
                self.closing = Some(Closing::Now);
            }
        }
    }

    /// Ends the session with a word, which takes its place behind the answers that are pending.
    fn close_with(&mut self, word: Reply, reason: Ended, detail: impl ToString) {
        if self.closing.is_none() {
            self.work().answers.word(word);
            self.close(Closing::LastWordsAndLinger, reason, detail);
        }
    }

    /// Ends the session: nothing more is decoded.
    fn close(&mut self, closing: Closing, reason: Ended, detail: impl ToString) {
        if self.closing.is_some() && closing != Closing::Now {
            return;
        }
        self.guard.ends(reason, detail.to_string());
        self.closing = Some(closing);
        let write_timeout = self.host().setup.settings.write_timeout;
        let work = self.work();
        let last_words = if work.is_stored() { write_timeout } else { STORE + write_timeout };
        work.input = Vec::new();
        work.skipping = None;
        work.look_up = None;
        for timer in [Timer::Auth, Timer::LookUp, Timer::Frame, Timer::Idle] {
            work.clock.clear(timer);
        }
        work.clock.set(Timer::Close, last_words);
    }

    fn host(&self) -> &Host {
        &self.guard.host
    }

    fn work(&mut self) -> &mut Work {
        let host = &self.guard.host;
        self.work.get_or_insert_with(|| host.lend())
    }

    fn give_work_back(&mut self) {
        if let Some(work) = self.work.take_if(|work| work.is_done()) {
            self.guard.host.take_back(work);
        }
    }
}

#[cfg(test)]
mod tests;
