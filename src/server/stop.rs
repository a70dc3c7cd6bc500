//! The graceful shutdown.

use log::warn;
use tokio::time::Instant;

use super::Running;
use crate::supervisor::StopAll;

/// How a stop went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Sessions that had to be cut off.
    pub cut_off: usize,
    /// Children that had to be killed.
    pub killed: Vec<String>,
}

impl Running {
    /// Stops all children in the reverse order of their start, under one deadline: the listeners with their sockets, so
    /// that newcomers are refused from then on, the sessions, the registry, the store.
    pub async fn stop(self) -> Stopped {
        let deadline = Instant::now() + self.shutdown;
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
}
