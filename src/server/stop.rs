//! The graceful shutdown: phases under one deadline.

use log::{info, warn};
use tokio::time::{Instant, timeout_at};

use super::{LISTENERS, REGISTRY, Running, UPLINK};
use crate::listener::{self, Journal};
use crate::session;
use crate::supervisor::Terminate;

/// How a stop went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Sessions that had to be cut off.
    pub cut_off: usize,
    /// Children that had to be killed.
    pub killed: Vec<String>,
}

impl Running {
    /// Stops in phases under one deadline: the listeners and their sockets, so that newcomers are refused from then on, the
    /// sessions, the registry, the uplink.
    pub async fn stop(self) -> Stopped {
        let deadline = Instant::now() + self.shutdown;
        // Sessions that do not end must not cost the others their time.
        let sessions_deadline = deadline - self.shutdown / 10;
        let mut killed = self.terminate(LISTENERS, sessions_deadline).await;
        // The start functions still have them, for a listener that is restarted.
        self.sockets.iter().for_each(|socket| listener::close(socket));
        let cut_off = self.stop_sessions(sessions_deadline).await;
        // The listeners, which do it otherwise, are not there any more.
        self.journals.iter().for_each(Journal::summarise);
        killed.extend(self.terminate(REGISTRY, deadline).await);
        killed.extend(self.terminate(UPLINK, deadline).await);
        // What is not noted in time is lost; nobody was promised that it is not.
        let _ = timeout_at(deadline, self.unknown.finish()).await;
        self.arbiters.iter().for_each(|arbiter| {
            arbiter.stop();
        });
        Stopped { cut_off, killed }
    }

    async fn stop_sessions(&self, deadline: Instant) -> usize {
        let open = self.open.count();
        for arbiter in &self.arbiters {
            arbiter.spawn_fn(session::stop_all);
        }
        let ended = timeout_at(deadline, self.open.none()).await;
        let cut_off = if ended.is_ok() { 0 } else { self.open.count() };
        match cut_off {
            0 => info!("stopped {open} sessions"),
            _ => warn!(
                "stopped {} sessions, cut off {cut_off} that did not end in time",
                open.saturating_sub(cut_off)
            ),
        }
        cut_off
    }

    async fn terminate(&self, prefix: &'static str, deadline: Instant) -> Vec<String> {
        let within = deadline.saturating_duration_since(Instant::now());
        self.supervisor.send(Terminate { prefix, within }).await.unwrap_or_default()
    }
}
