//! Reload: a running server takes over a new config, without closing connections that may stay.

use std::time::Duration;

use log::error;
use tokio::time::timeout;

use super::{REJECTED, Running};
use crate::config::{Change, Config, changes};
use crate::credentials::{self, Authenticator, Unusable};
use crate::session::Configure;
use crate::supervisor::{ChildError, RestartChild, TerminateChild};

/// How long the writer of rejected ids may take for the last of them.
const LAST_IDS: Duration = Duration::from_secs(2);

/// How long the parent of the sessions may take to restart.
const SESSIONS: Duration = Duration::from_secs(5);

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] Unusable),
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
    pub async fn reload(&mut self, new: &Config) -> Result<Vec<Change>, ReloadError> {
        let changes = changes(&self.config, new);
        let config = self.config.reloaded(new);
        let authenticator = self.authenticator(&config)?;
        if let Some(authenticator) = authenticator {
            self.replace(authenticator).await;
        }
        self.configure_sessions(&config).await;
        self.store.configure(&config.store);
        self.stats_every.send_replace(config.log.stats_every);
        self.config = config;
        Ok(changes)
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
