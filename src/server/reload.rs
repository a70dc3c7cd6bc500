//! Reload: a running server takes over a new config, without closing connections that may stay.

use std::sync::Arc;
use std::time::Duration;

use log::{error, info};
use tokio::time::timeout;

use super::listeners::ListenerError;
use super::plan::Plan;
use super::reporter::Watched;
use super::tls::TlsError;
use super::{REJECTED, Running};
use crate::config::{Change, Config, OnChange, changes};
use crate::credentials::{self, Authenticator, Unusable};
use crate::listener::BindError;
use crate::session::{CloseSessions, Configure, Which};
use crate::supervisor::{ChildError, RestartChild, TerminateChild};

/// How long the writer of rejected ids may take for the last of them.
const LAST_IDS: Duration = Duration::from_secs(2);

/// How long the parent of the sessions may take to restart.
const SESSIONS: Duration = Duration::from_secs(5);

/// What a reload has done.
#[derive(Debug)]
pub struct Reloaded {
    /// All differences between the two configs.
    pub changes: Vec<Change>,
    /// Listeners that could not be changed, and are as before.
    pub failed: Vec<ListenerError>,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] Unusable),
    /// A file of a listener's TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listening socket could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The folder of the data is not open.
    #[error("source = \"sqlite\" needs the folder of the data, which only a start opens: restart the server")]
    NoFolder,
}

impl Running {
    /// The config in effect.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Takes over what a running server can take over of a new config. Returns all differences; those with the effect
    /// [`Restart`](crate::config::Effect::Restart) are not in effect. What can fail comes first: after an error, nothing
    /// has changed.
    pub async fn reload(&mut self, new: &Config) -> Result<Reloaded, ReloadError> {
        let changes = changes(&self.config, new);
        let mut config = self.config.reloaded(new);
        let authenticator = self.authenticator(&config)?;
        let plan = Plan::prepare(&self.listeners, &self.config.listeners, &config.listeners)?;
        if let Some(authenticator) = authenticator {
            self.replace(authenticator).await;
        }
        self.configure_sessions(&config).await;
        self.store.configure(&config.store);
        self.watched.send_replace(Watched::of(&config));
        self.listeners.set_max_connections(config.server.max_connections);
        let failed = plan.apply(&self.listeners).await;
        self.keep_failed(&mut config, &failed);
        self.close_denied(&config).await;
        self.config = config;
        Ok(Reloaded { changes, failed })
    }

    /// What could not be changed stays in the config as it was.
    fn keep_failed(&self, config: &mut Config, failed: &[ListenerError]) {
        for old in &self.config.listeners {
            if failed.iter().any(|err| err.listener() == old.name) {
                config.listeners.retain(|listener| listener.name != old.name);
                config.listeners.push(old.clone());
            }
        }
    }

    /// Closes the sessions that a changed rule denies, where the config says so.
    async fn close_denied(&self, config: &Config) {
        for listener in config.listeners.iter().filter(|listener| listener.on_change == OnChange::Close) {
            let old = self.config.listeners.iter().find(|old| old.name == listener.name);
            if old.is_none_or(|old| old.access == listener.access) {
                continue;
            }
            let which = Which::Denied(listener.name.as_str().into(), Arc::new(listener.access.clone()));
            let closed = timeout(SESSIONS, self.sessions.call(|| CloseSessions(which.clone()))).await;
            match closed {
                Ok(Ok(closed)) => info!("listener {} closed denied sessions={}", listener.name, closed.len()),
                Ok(Err(_)) | Err(_) => {
                    error!("listener {}: denied sessions go on, reload again", listener.name)
                }
            }
        }
    }

    async fn configure_sessions(&self, config: &Config) {
        // Their parent may be restarting: its successor does it.
        let configured = self.sessions.call(|| Configure(config.session.clone()));
        if timeout(SESSIONS, configured).await.is_err() {
            error!("the sessions keep their settings: their parent does not run; reload again");
        }
    }

    /// New credentials, if their section has changed.
    fn authenticator(&self, config: &Config) -> Result<Option<Authenticator>, ReloadError> {
        if config.credentials == self.config.credentials {
            return Ok(None);
        }
        if config.has_folder() && self.state.is_none() {
            return Err(ReloadError::NoFolder);
        }
        Ok(Some(credentials::open(config, self.state.as_ref())?))
    }

    /// The writer of rejected ids ends with the old credentials, and starts with the new ones.
    async fn replace(&self, authenticator: Authenticator) {
        let terminate = TerminateChild { id: REJECTED.into(), within: LAST_IDS };
        let terminated = self.supervisor.send(terminate).await.unwrap_or(Err(ChildError::ShuttingDown));
        self.credentials.replace(authenticator);
        if terminated.is_ok() {
            // A start that fails is logged by the supervisor, and ids are rejected all the same.
            let _ = self.supervisor.send(RestartChild(REJECTED.into())).await;
        }
    }
}
