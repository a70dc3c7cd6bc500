//! The supervisor's record of a child, from life to life.

use std::time::{Duration, Instant};

use actix::prelude::*;
use log::{info, warn};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::backoff::Backoff;
use super::exit::Exit;
use super::spec::ChildSpec;
use super::started::Controls;

pub(super) struct Child {
    pub(super) spec: ChildSpec,
    pub(super) state: State,
    /// The time of the last change of `state`.
    pub(super) since: Instant,
    pub(super) backoff: Backoff,
    pub(super) restarts: u64,
    pub(super) last_exit: Option<Exit>,
    /// Whether the last end was logged, so that the restart is logged too.
    pub(super) said: bool,
}

/// The number of a life, unique in its supervisor: what is known of an earlier life never concerns a later one.
pub(super) type Life = u64;

pub(super) enum State {
    /// Never started, terminated, or ended and not to be restarted.
    Down,
    Up(Life, Controls),
    /// Waits for its restart.
    Waiting {
        timer: SpawnHandle,
        gave_up: bool,
    },
    /// Asked to stop.
    Stopping(Life, Controls, Vec<oneshot::Sender<()>>),
}

impl Child {
    pub(super) fn new(spec: ChildSpec, max_backoff: Duration, now: Instant) -> Self {
        Self {
            spec,
            state: State::Down,
            since: now,
            backoff: Backoff::new(max_backoff),
            restarts: 0,
            last_exit: None,
            said: true,
        }
    }

    pub(super) const fn life(&self) -> Option<Life> {
        match self.state {
            State::Up(life, _) | State::Stopping(life, ..) => Some(life),
            State::Down | State::Waiting { .. } => None,
        }
    }

    pub(super) fn becomes(&mut self, state: State, now: Instant) {
        (self.state, self.since) = (state, now);
    }

    /// Asks the child to stop. The result resolves when it has ended; there is none if it is not running.
    pub(super) fn stop(&mut self, deadline: tokio::time::Instant) -> Option<Ending> {
        let (done, told) = oneshot::channel();
        let controls = match std::mem::replace(&mut self.state, State::Down) {
            State::Up(life, controls) => {
                info!("stopping {}", self.spec.id);
                controls.stop(deadline);
                self.becomes(State::Stopping(life, controls.clone(), vec![done]), super::now());
                controls
            }
            State::Stopping(life, controls, mut waiting) => {
                waiting.push(done);
                self.state = State::Stopping(life, controls.clone(), waiting);
                controls
            }
            down @ (State::Down | State::Waiting { .. }) => {
                self.state = down;
                return None;
            }
        };
        Some(Ending { id: self.spec.id.clone(), controls, told })
    }
}

/// A child that was asked to stop.
pub(super) struct Ending {
    id: String,
    controls: Controls,
    told: oneshot::Receiver<()>,
}

impl Ending {
    /// Resolves when the child has ended. It is killed at the `deadline`; then the result is its id.
    pub(super) async fn by(mut self, deadline: tokio::time::Instant) -> Option<String> {
        if timeout_at(deadline, &mut self.told).await.is_ok() {
            return None;
        }
        warn!("{} did not stop in time: killing it", self.id);
        self.controls.kill();
        // The next life must not begin before this one has ended.
        let _ = self.told.await;
        Some(self.id)
    }
}
