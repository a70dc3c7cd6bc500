//! An OTP supervisor for actix actors and plain futures: one_for_one, with restart policies, intensity and backoff.
//!
//! `actix::Supervisor` restarts an actor that stops, but never one that panics. This supervisor owns the task of each
//! child. It learns of every end and its cause, and its children die with it.
//!
//! | file | subject |
//! |---|---|
//! | `mod.rs` | the supervisor: starts, ends, restarts |
//! | `spec` `started` `child` | a child before it starts, while it runs, and from life to life |
//! | `messages` `shutdown` | what may be asked of a supervisor |
//! | `link` `exit` `name` | the monitor of an actor, its end, its registered name |
//! | `intensity` `backoff` | the restart limit and the delay of a restart; pure |

mod backoff;
mod child;
mod exit;
mod intensity;
mod link;
mod messages;
mod name;
mod shutdown;
mod spec;
mod started;
mod thread;
mod upkeep;

use std::time::{Duration, Instant};

use actix::prelude::*;
use log::{Level, error, log};
use tokio::sync::oneshot;

use self::child::{Child, Life, State};
use crate::logging::Pace;

pub use exit::{Exit, exit, panic_text};
pub use intensity::{Intensity, TooMany};
pub use link::{Link, spawn, spawn_on};
pub use messages::{
    ChildError, ChildInfo, ChildState, DeleteChild, RestartChild, StartChild, TerminateChild, WhichChildren,
};
pub use name::{Name, NoAnswer};
pub use shutdown::StopAll;
pub use spec::{ChildSpec, Restart, Start};
pub use started::{Started, Stop};
pub use thread::thread;
pub use upkeep::{Background, Upkeep, Work};

/// How often a child that gave up alone is retried.
const RETRY: Duration = Duration::from_secs(60);

/// Ends of one child that are logged in a burst, and per second. Each has a second line when the child runs again.
const LINES: (f64, f64) = (2.0, 0.5);

/// Owns its children and restarts those that end, as their policy and the restart limit allow.
pub struct Supervisor {
    children: Vec<Child>,
    intensity: Intensity,
    max_backoff: Duration,
    lives: Life,
    shutting_down: bool,
    lines: Pace,
    gave_up: Option<oneshot::Sender<GaveUp>>,
}

/// The supervisor failed: its children exceeded the restart limit.
#[derive(Debug, thiserror::Error)]
#[error("{child} ended ({exit}): {too_many}")]
pub struct GaveUp {
    child: String,
    exit: Exit,
    too_many: TooMany,
}

impl Supervisor {
    /// A supervisor without children, and the receiver that reports its failure. The delay between two restarts of a
    /// child grows to `max_backoff`.
    pub fn new(intensity: Intensity, max_backoff: Duration) -> (Self, oneshot::Receiver<GaveUp>) {
        let (gave_up, told) = oneshot::channel();
        let supervisor = Self {
            children: Vec::new(),
            intensity,
            max_backoff,
            lives: 0,
            shutting_down: false,
            lines: Pace::new(LINES.0, LINES.1),
            gave_up: Some(gave_up),
        };
        (supervisor, told)
    }

    /// Adds a permanent child; children start in this order.
    pub fn child(
        self,
        id: impl Into<String>,
        start: impl FnMut() -> Result<Started, String> + Send + 'static,
    ) -> Self {
        self.with(ChildSpec::new(id, start))
    }

    /// Adds a child.
    #[must_use]
    pub fn with(mut self, spec: ChildSpec) -> Self {
        self.children.push(Child::new(spec, self.max_backoff, now()));
        self
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.children.iter().position(|child| child.spec.id == id)
    }

    /// Starts a new life of a child.
    fn try_start(&mut self, index: usize, ctx: &mut Context<Self>) -> Result<(), Exit> {
        let Some(child) = self.children.get_mut(index) else { return Ok(()) };
        let Started { link, controls } = child.spec.start()?;
        self.lives += 1;
        let life = self.lives;
        child.becomes(State::Up(life, controls), now());
        ctx.spawn(link.into_actor(self).map(move |exit, this, ctx| this.ended(life, exit, ctx)));
        Ok(())
    }

    fn ended(&mut self, life: Life, exit: Exit, ctx: &mut Context<Self>) {
        let Some(index) = self.children.iter().position(|child| child.life() == Some(life)) else { return };
        let Some(child) = self.children.get_mut(index) else { return };
        let State::Stopping(_, _, waiting) = std::mem::replace(&mut child.state, State::Down) else {
            return self.ended_at(index, exit, ctx);
        };
        child.since = now();
        if child.spec.restart == Restart::Temporary {
            self.children.remove(index);
        }
        for done in waiting {
            // The caller may have timed out.
            let _ = done.send(());
        }
    }

    /// A child has ended by itself, or could not start.
    fn ended_at(&mut self, index: usize, exit: Exit, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(index) else { return };
        child.becomes(State::Down, now());
        child.last_exit = Some(exit.clone());
        match child.spec.restart {
            Restart::Temporary => {
                say_ended(child, &exit);
                self.children.remove(index);
            }
            Restart::Transient if exit == Exit::Normal => say_ended(child, &exit),
            Restart::Permanent | Restart::Transient => self.restart(index, exit, ctx),
        }
    }

    /// Restarts a child after its backoff, if the restart limit allows it.
    fn restart(&mut self, index: usize, exit: Exit, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(index) else { return };
        let (id, now, has_own) = (child.spec.id.clone(), now(), child.spec.intensity.is_some());
        let intensity = child.spec.intensity.as_mut().unwrap_or(&mut self.intensity);
        match intensity.note(now) {
            Ok(recent) => {
                let delay = child.backoff.delay(now);
                child.said = self.lines.admits(&id, now);
                let level = if child.said { Level::Error } else { Level::Debug };
                log!(
                    level,
                    "{id} ended: {exit}; restarting restart={recent} limit=\"{intensity}\" delay={}ms",
                    delay.as_millis()
                );
                self.start_after(delay, index, false, ctx);
            }
            Err(too_many) if has_own => {
                child.said = true;
                error!("{id} gave up: {exit}: {too_many}; retrying every {RETRY:?}");
                self.start_after(RETRY, index, true, ctx);
            }
            Err(too_many) => self.give_up(GaveUp { child: id, exit, too_many }),
        }
    }

    fn start_after(&mut self, delay: Duration, index: usize, gave_up: bool, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(index) else { return };
        let id = child.spec.id.clone();
        // Even without a delay: a child that fails to start must not cause recursion.
        let wait = fut::wrap_future::<_, Self>(wait(delay));
        let timer = ctx.spawn(wait.map(move |(), this, ctx| this.start_again(&id, ctx)));
        child.state = State::Waiting { timer, gave_up };
    }

    fn start_again(&mut self, id: &str, ctx: &mut Context<Self>) {
        let Some(index) = self.find(id) else { return };
        let Some(child) = self.children.get_mut(index) else { return };
        child.restarts += 1;
        let (down, said) = (child.since, child.said);
        match self.try_start(index, ctx) {
            Ok(()) => {
                let level = if said { Level::Info } else { Level::Debug };
                let after = now().saturating_duration_since(down).as_millis();
                log!(level, "{id} runs again after={after}ms");
            }
            Err(exit) => self.ended_at(index, exit, ctx),
        }
    }

    fn give_up(&mut self, reason: GaveUp) {
        if let Some(gave_up) = self.gave_up.take() {
            error!("supervisor gives up: {reason}");
            let _ = gave_up.send(reason);
        }
    }
}

/// The end of a child that is not restarted.
fn say_ended(child: &Child, exit: &Exit) {
    let level = if *exit == Exit::Normal { Level::Info } else { Level::Error };
    log!(level, "{} ended: {exit}", child.spec.id);
}

/// The clock of the timers, so that tests can pause it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let ids: Vec<_> = self.children.iter().map(|child| child.spec.id.clone()).collect();
        for id in ids {
            // A temporary child that cannot start is gone.
            let Some(index) = self.find(&id) else { continue };
            if let Err(exit) = self.try_start(index, ctx) {
                self.ended_at(index, exit, ctx);
            }
        }
    }
}

#[cfg(test)]
mod tests;
