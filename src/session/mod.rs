//! Sessions: one actor per connection, which speaks the trap protocol.
//!
//! A session lives on the thread of its acceptor. It polls its own socket, decodes frames in place, and calls the
//! [`Handler`] of each frame's message directly: a message through a mailbox would box every frame, and prevent one
//! write per read. So it has no mailbox and no address, and its [`SessionContext`] is only its state as an actor.
//!
//! What others ask of a session is state, and a wake-up; the session looks at it at the start of its turn:
//!
//! | request | state | wake-up |
//! |---|---|---|
//! | a takeover | the claim to its id ([`Claim`](crate::registry::Claim)) | the waker in its row of the registry |
//! | list, close | the calls of its thread (`Calls`) | the roll of its thread |
//! | a drain, a stop | a flag of its thread | the roll of its thread |
//! | new settings | the settings of its thread | none: they apply from its next turn on |
//! | its place for another connection | [`Place`](crate::access::Place) | the waker in its place |
//!
//! | file | subject |
//! |---|---|
//! | `mod.rs` | the session and its turn: the steps at each wake-up |
//! | `context.rs` | its task, which reports a panic, and the context of its handlers |
//! | `input.rs` `output.rs` | the read side and the write side of its socket |
//! | `ping.rs` … `cmd.rs` `wait_for_auth.rs` | a message and its handler each |
//! | `answers.rs` `clock.rs` `work.rs` | the order of answers, deadlines, state of an active session |
//! | `authority.rs` | authentication |
//! | `guard.rs` `crash.rs` | the cleanup at its end, and the report of a crash |
//! | `host.rs` `roll.rs` `holder.rs` | the shared state of the sessions of a thread, their common timer, and whose turn it is |
//! | `rate.rs` | the limits on its rates |
//! | `drain.rs` | a server that closes idle sessions one after the other |
//! | `sessions.rs` `call.rs` | the parent of all sessions, and what is asked of many of them |

mod answers;
mod auth;
mod authority;
mod call;
mod clock;
mod cmd;
mod connect;
mod context;
mod crash;
mod drain;
mod guard;
mod holder;
mod host;
mod input;
mod output;
mod ping;
mod publish;
mod rate;
mod roll;
mod send;
mod sessions;
mod takeover;
mod wait_for_auth;
mod work;

use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::prelude::*;
use log::error;

use self::clock::Timer;
use self::context::SessionTask;
use self::guard::Guard;
use self::host::Host;
use self::input::Read;
use self::roll::Moment;
use self::takeover::Takeover;
use self::wait_for_auth::WaitForAuth;
use self::work::Work;
use crate::access::Pace;
use crate::faults::Point;
use crate::listener::{Admitted, Stream};
use crate::protocol::Reply;
use crate::stats::Ended;

pub use authority::Authority;
pub use call::{SessionInfo, Which};
pub use context::SessionContext;
pub use holder::Holder;
pub use host::{OpenSessions, Setup, install};
pub use sessions::{CloseSessions, Configure, DrainSessions, ListSessions, Sessions};

/// Maximum rounds of a session before the other sessions of its thread get a turn. A full read ends a turn too.
const ROUNDS: usize = 4;

/// Timeout for the registry (after the credentials) and for the store.
const REGISTRY: Duration = Duration::from_secs(5);
const STORE: Duration = Duration::from_secs(30);

/// Timeout for the wait for room; frames without room are refused then.
const ROOM: Duration = Duration::from_secs(30);

/// Interval of checks on the peer while the session waits for room.
const LOOK: Duration = Duration::from_secs(1);

/// Starts the session of an admitted client on the current thread, see [`install`].
pub fn start(stream: Stream, admitted: Admitted) {
    let Some(host) = Host::present() else {
        error!("closing peer={}: this thread is not set up for sessions", admitted.peer());
        return;
    };
    let guard = Guard::new(host, admitted);
    actix_rt::spawn(SessionTask::new(Session::new(stream, guard)));
}

/// A connection of a device. An idle one is little more than its task.
pub struct Session {
    stream: Stream,
    guard: Guard,
    phase: Phase,
    work: Option<Box<Work>>,
    closing: Option<Closing>,
    /// The time at which the session is closed as idle.
    idle_at: Moment,
    /// What it has sent, for the limits on its rates.
    pace: Pace,
}

/// The result of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// Nothing to do.
    Rest,
    /// There may be more to do now.
    Moved,
    /// There may be more to do, but the session has used up its turn.
    Share,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    /// A look-up of an AUTH or a one-shot SEND is in progress; all later frames wait.
    LookingUp,
    Authenticated,
}

/// The stage of a closing session, which decodes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// Pending answers are sent; then the socket is closed immediately, because the peer has closed its side.
    LastWords,
    /// Pending answers are sent. Then the server's side is shut down, and incoming bytes are discarded for a while,
    /// because a reset would destroy the last word on its way.
    LastWordsAndLinger,
    /// The server's side is shut down.
    Lingering,
    /// Nothing is left to send, or the peer is gone.
    Now,
}

impl Actor for Session {
    type Context = SessionContext;
}

impl Session {
    fn new(stream: Stream, guard: Guard) -> Self {
        let (phase, idle_at) = (Phase::New, Moment::NEVER);
        let pace = Pace::default();
        let mut session = Self { stream, guard, phase, work: None, closing: None, idle_at, pace };
        let auth_timeout = session.after(session.host().settings().auth_timeout);
        session.work().clock.set(Timer::Auth, auth_timeout);
        session
    }

    /// Performs the work that is possible now. Ready when the session is over.
    fn turn(&mut self, ctx: &mut SessionContext, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.host().roll.new_turn();
        self.guard.list(cx.waker());
        if self.host().calls.any() {
            self.answer_calls();
        }
        self.host().setup.faults.trip(Point::Session);
        if self.phase == Phase::New && self.guard.is_crowded_out(cx.waker()) {
            self.close(Closing::Now, Ended::CrowdedOut, "");
        }
        for _ in 0..ROUNDS {
            // In each round: it may have happened to an id that the session got in the round before.
            if let Some(by) = self.guard.replaced_by() {
                self.handle(Takeover { by }, ctx);
            }
            // A session that was taken over sends nothing, not even an answer that arrives from the store now.
            if self.closing == Some(Closing::Now) {
                return Poll::Ready(());
            }
            let round = self.round(ctx, cx);
            if self.poll_closed(cx).is_ready() {
                return Poll::Ready(());
            }
            match round {
                Round::Moved => continue,
                Round::Share => break,
                Round::Rest => {}
            }
            let Some(timer) = self.due() else {
                self.settle();
                return Poll::Pending;
            };
            self.time_is_up(timer, ctx);
        }
        // Deadlines apply to a busy session too.
        if let Some(timer) = self.due() {
            self.time_is_up(timer, ctx);
        }
        self.settle();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One round: answers from the store come in, frames come in, answers go out.
    fn round(&mut self, ctx: &mut SessionContext, cx: &mut TaskContext<'_>) -> Round {
        let answered = self.poll_look_up(cx) | self.poll_stored(cx);
        let resumed = self.resume(ctx, cx);
        let read = self.poll_read(ctx, cx);
        if self.host().stopping() {
            self.stop();
        }
        let handed_over = self.hand_over();
        let written = self.poll_write(cx);
        match read {
            Read::Full => Round::Share,
            Read::Some => Round::Moved,
            Read::Nothing if answered | resumed | handed_over | written => Round::Moved,
            Read::Nothing => Round::Rest,
        }
    }

    /// The server stops: this was the last read, unless some of its input still waits to be decoded.
    fn stop(&mut self) {
        if self.work.as_ref().is_none_or(|work| work.paused.is_none()) {
            self.close(Closing::LastWordsAndLinger, Ended::Shutdown, "");
        }
    }

    /// Returns the timer that is due, if any; otherwise sets the wake-up for the next one.
    fn due(&mut self) -> Option<Timer> {
        let read = self.may_read() > 0;
        let is_idle = read && self.work.as_ref().is_none_or(|work| work.is_stored());
        let idle = (if is_idle { self.idle_at } else { Moment::NEVER }, Timer::Idle);
        let (at, timer) = match self.work.as_ref().map(|work| work.clock.next(read)) {
            Some(next) if next.0 < idle.0 => next,
            _ => idle,
        };
        if at == Moment::NEVER || at > self.host().roll.now() {
            self.guard.wake_at(at);
            return None;
        }
        self.work().clock.clear(timer);
        Some(timer)
    }

    /// The end of a turn: the kept data takes its part of the budget, and a session without data returns its [`Work`].
    fn settle(&mut self) {
        let host = &self.guard.host;
        match self.work.take_if(|work| work.is_done()) {
            Some(work) => host.take_back(work),
            None => self.work.iter_mut().for_each(|work| work.hold(host.budget(self.phase))),
        }
    }

    fn time_is_up(&mut self, timer: Timer, ctx: &mut SessionContext) {
        match timer {
            Timer::Auth => self.handle(WaitForAuth, ctx),
            Timer::LookUp => self.look_up_takes_too_long(),
            Timer::Frame => {
                self.close_with(Reply::ProtocolError, Ended::FrameTimeout, "frame not complete in time");
            }
            Timer::Room => self.refuse_for_lack_of_room(ctx),
            Timer::Look => self.look_after_peer(),
            // The next round goes on.
            Timer::Rate => {}
            Timer::Idle => {
                let drains = self.host().drain.is_on();
                let reason = if drains { Ended::Drained } else { Ended::IdleTimeout };
                self.close(Closing::LastWordsAndLinger, reason, "");
            }
            Timer::Store => self.store_takes_too_long(),
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

    /// Ends the session with a word, sent after the pending answers.
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
        self.idle_at = Moment::NEVER;
        let write_timeout = self.host().settings().write_timeout;
        let is_stored = self.work().is_stored();
        let last_words = self.after(if is_stored { write_timeout } else { STORE + write_timeout });
        let work = self.work();
        work.stop_decoding();
        for timer in [Timer::Auth, Timer::LookUp, Timer::Frame, Timer::Room, Timer::Look, Timer::Rate] {
            work.clock.clear(timer);
        }
        work.clock.set(Timer::Close, last_words);
    }

    /// The first moment at least this far in the future.
    fn after(&self, time: Duration) -> Moment {
        self.host().roll.after(time)
    }

    fn host(&self) -> &Host {
        &self.guard.host
    }

    /// After the last turn: the next connection needs a [`Work`] immediately.
    fn return_work(&mut self) {
        if let Some(mut work) = self.work.take() {
            work.abandon();
            self.guard.host.take_back(work);
        }
    }

    fn work(&mut self) -> &mut Work {
        let host = &self.guard.host;
        self.work.get_or_insert_with(|| host.lend())
    }
}

#[cfg(test)]
mod tests;
