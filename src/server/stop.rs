//! The graceful shutdown.

use std::time::Duration;

use log::{info, warn};
use tokio::time::{Instant, timeout};

use super::Running;
use crate::session::DrainSessions;
use crate::supervisor::StopAll;

/// The part of the time of a drain in which idle sessions are closed; the rest is for their last words.
const PACED: f64 = 0.9;

/// How a stop went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Sessions that had to be cut off.
    pub cut_off: usize,
    /// Children that had to be killed.
    pub killed: Vec<String>,
}

impl Running {
    /// Drains, if the config says so. Then stops all children in the reverse order of their start, under one deadline: the
    /// listeners with their sockets, so that newcomers are refused from then on, the sessions, the registry, the store.
    pub async fn stop(self) -> Stopped {
        if let Some(time) = self.config.server.drain {
            self.drain(time).await;
        }
        let deadline = Instant::now() + self.config.server.shutdown;
        let killed = self.supervisor.send(StopAll { deadline }).await.unwrap_or_else(|err| {
            warn!("the supervisor did not stop its children: {err}");
            Vec::new()
        });
        let cut_off = self.open.count();
        // The listeners, which do it otherwise, are not there any more.
        self.listeners.summarise();
        // Nothing writes any more.
        self.lock.iter().for_each(|lock| lock.release());
        self.arbiters.iter().for_each(|arbiter| {
            arbiter.stop();
        });
        Stopped { cut_off, killed }
    }

    /// Accepts nobody any more, and closes idle sessions one after the other, until none is left or the time is over.
    async fn drain(&self, time: Duration) {
        let (begin, sessions) = (Instant::now(), self.open.count());
        info!("draining sessions={sessions} for={}s", time.as_secs());
        let drained = timeout(time, async {
            self.listeners.close().await;
            // Their parent may be restarting: its successor does it.
            let _ = self.sessions.call(|| DrainSessions(time.mul_f64(PACED))).await;
            self.open.none().await;
        });
        let _ = drained.await;
        info!(
            "drained sessions={sessions} left={} after={:.1}s",
            self.open.count(),
            begin.elapsed().as_secs_f32()
        );
    }
}
