//! The credentials that a config asks for.

use std::sync::Arc;

use super::cached::Cached;
use super::directory::{Directory, Failed};
use super::sqlite::{Attempts, SqliteDirectory};
use super::{Authenticator, Credentials, List, Unknown};
use crate::config::{self, Config, Source};
use crate::database::State;

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// This binary was built without support for it.
    #[error("this trap-server was built without PostgreSQL; build it with `--features postgres`")]
    NotBuilt,
    /// `url` is not the address of a database.
    #[error("`url` of [credentials] is not a PostgreSQL address: {0}")]
    Url(String),
    /// `url` asks for TLS.
    #[error(
        "`url` of [credentials] has sslmode=require, but TLS to the database is not supported: connect on this machine, \
         or through a tunnel, with sslmode=disable"
    )]
    Tls,
    /// The database cannot be used.
    #[error(transparent)]
    Failed(#[from] Failed),
}

impl Unusable {
    /// Whether the config or the build is at fault, and not the database.
    pub const fn is_mistake(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// The credentials, and the record of rejected ids. `state` is there if the config needs one. A database that is
/// down is not an error.
pub fn open(config: &Config, state: Option<&State>) -> Result<Authenticator, Unusable> {
    let (credentials, unknown) = open_source(config, state)?;
    // Once for its turn, once for its answer.
    Ok(Authenticator { credentials, timeout: config.credentials.timeout * 2, unknown })
}

fn open_source(config: &Config, state: Option<&State>) -> Result<(Arc<dyn Credentials>, Unknown), Unusable> {
    let credentials = &config.credentials;
    let unknown = || match state {
        Some(state) => Unknown::kept_by(Attempts(state.clone()), credentials.max_unknown),
        None => Unknown::none(),
    };
    match (credentials.source, state) {
        (Source::Sqlite, Some(state)) => {
            Ok((cached(SqliteDirectory::new(state.clone(), credentials.timeout), credentials), unknown()))
        }
        (Source::List | Source::Sqlite, _) => Ok((Arc::new(List::new(&credentials.clients)), unknown())),
        (Source::Postgres, _) => postgres(credentials),
    }
}

fn cached(directory: impl Directory, credentials: &config::Credentials) -> Arc<dyn Credentials> {
    Arc::new(Cached::new(directory, credentials))
}

#[cfg(feature = "postgres")]
fn postgres(credentials: &config::Credentials) -> Result<(Arc<dyn Credentials>, Unknown), Unusable> {
    let postgres = super::postgres::Postgres::new(&credentials.url, credentials.timeout)?;
    let unknown = Unknown::kept_by(postgres.clone(), credentials.max_unknown);
    Ok((cached(postgres, credentials), unknown))
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &config::Credentials) -> Result<(Arc<dyn Credentials>, Unknown), Unusable> {
    Err(Unusable::NotBuilt)
}
