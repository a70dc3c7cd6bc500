//! The credentials that a config asks for.

use std::path::PathBuf;
use std::sync::Arc;

use super::cached::Cached;
use super::directory::{Directory, Failed};
use super::sqlite::{Attempts, SqliteDirectory};
use super::{Credentials, List, Unknown};
use crate::config::{self, Config, Source, StoreKind};
use crate::database;

/// Why a source cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// What it takes is not in this binary.
    #[error("this trap-server was built without PostgreSQL; build it with `--features postgres`")]
    NotBuilt,
    /// `url` leads to no database.
    #[error("`url` of [credentials] names no PostgreSQL database: {0}")]
    Url(String),
    /// `url` asks for TLS.
    #[error(
        "`url` of [credentials] has sslmode=require, and there is no TLS to the database yet: connect on this machine, \
         or through a tunnel, with sslmode=disable"
    )]
    Tls,
    /// The database cannot be used.
    #[error(transparent)]
    Failed(#[from] Failed),
}

impl Unusable {
    /// Whether the config, or the build, is to blame, and not the database.
    pub const fn is_mistake(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// Who knows the devices, and who notes those that nobody knows. A database that is only down for now is waited for.
pub fn open(config: &Config) -> Result<(Arc<dyn Credentials>, Unknown), Unusable> {
    let credentials = &config.credentials;
    let path = &config.store.file();
    match credentials.source {
        Source::List => {
            let list = Arc::new(List::new(&credentials.clients));
            Ok((list, if has_file(config) { unknown_in(path.clone(), credentials) } else { Unknown::none() }))
        }
        Source::Sqlite => {
            make_file(config)?;
            let sqlite = SqliteDirectory::new(path.clone(), credentials.timeout);
            Ok((cached(sqlite, credentials), unknown_in(path.clone(), credentials)))
        }
        Source::Postgres => postgres(credentials),
    }
}

/// Whether a SQLite file is in use, by whomever.
pub(super) fn has_file(config: &Config) -> bool {
    config.credentials.source == Source::Sqlite || config.store.kind == StoreKind::Sqlite
}

fn make_file(config: &Config) -> Result<(), Failed> {
    let options =
        database::Options { path: config.store.file(), full: true, lock_timeout: config.credentials.timeout };
    match database::open(&database::SINGLE, &options) {
        Err(err) if err.is_lasting() => Err(err.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn unknown_in(path: PathBuf, credentials: &config::Credentials) -> Unknown {
    Unknown::kept_by(Attempts(path), credentials.max_unknown)
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
