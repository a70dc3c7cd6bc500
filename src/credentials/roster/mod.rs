//! The ids as an operator sees and changes them, while a server may run.

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::time::SystemTime;

use super::client::Client;
use super::unknown::Attempt;
use super::{Failed, Unusable};
use crate::access::Networks;
use crate::config::{Config, Source};
use crate::protocol::ClientId;

/// Ids per read.
const PAGE: usize = 1000;

/// The tables of ids in a database. Each change is a transaction.
pub trait Roster {
    /// The name of the database.
    fn name(&self) -> String;

    /// Adds an id. False if it exists; it is not changed then.
    fn add(&mut self, client: &Entry) -> Result<bool, Failed>;

    /// Removes an id. False if it does not exist.
    fn remove(&mut self, client: &ClientId) -> Result<bool, Failed>;

    /// Enables or disables an id. False if it does not exist.
    fn enable(&mut self, client: &ClientId, enabled: bool) -> Result<bool, Failed>;

    /// Adds rejected ids in one transaction, and removes them from the rejected ones. Returns the ids for which this is
    /// impossible; nothing is changed then.
    fn approve(&mut self, entries: &[Entry]) -> Result<Vec<(ClientId, Obstacle)>, Failed>;

    /// Adds and changes distinct ids in one transaction.
    fn import(&mut self, entries: &[Entry]) -> Result<Imported, Failed>;

    /// The next ids after `after`, in order; none at the end. The first one follows "".
    fn page(&mut self, after: &str) -> Result<Vec<Client>, Failed>;

    /// The rejected ids, the newest first.
    fn unknown(&mut self) -> Result<Vec<Attempt>, Failed>;

    /// The numbers of ids.
    fn count(&mut self) -> Result<Count, Failed>;
}

/// Changes to a row. `None` keeps the column; in a new row it is the default: enabled, no note, no expiry, from
/// everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id.
    pub id: ClientId,
    /// Whether it may authenticate.
    pub enabled: Option<bool>,
    /// The operator's note.
    pub note: Option<String>,
    /// The time from which on it is rejected; `Some(None)` is never.
    pub expires_at: Option<Option<SystemTime>>,
    /// The networks from which it may come. They also remove the id from the rejected ones, if it came from elsewhere.
    pub networks: Option<Networks>,
}

/// Why an id cannot be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is a known id.
    Known,
    /// It is not one of the rejected ids.
    NotRejected,
}

impl Obstacle {
    fn of(is_known: bool, is_rejected: bool) -> Option<Self> {
        match (is_known, is_rejected) {
            (true, _) => Some(Self::Known),
            (false, false) => Some(Self::NotRejected),
            (false, true) => None,
        }
    }
}

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// New ids.
    pub added: usize,
    /// Existing ids.
    pub updated: usize,
}

/// The numbers of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub clients: u64,
    /// The disabled ones.
    pub disabled: u64,
    /// Rejected ids that are recorded.
    pub rejected: u64,
}

/// The purpose of opening a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing is changed or created.
    Read,
    /// A missing SQLite file is created, if its folder belongs to a server.
    Write,
}

/// Opens the tables of the config's source. With the source `list`, these are only the rejected ids;
/// `None` if there is no table for them either.
pub fn open(config: &Config, access: Access) -> Result<Option<Box<dyn Roster>>, Unusable> {
    match config.credentials.source {
        Source::Postgres => postgres(config).map(Some),
        Source::Sqlite | Source::List if config.has_folder() => {
            let roster = sqlite::SqliteRoster::open(&config.store.path, access).map_err(Failed::from)?;
            Ok(Some(Box::new(roster)))
        }
        Source::Sqlite | Source::List => Ok(None),
    }
}

#[cfg(feature = "postgres")]
fn postgres(config: &Config) -> Result<Box<dyn Roster>, Unusable> {
    let credentials = &config.credentials;
    Ok(Box::new(postgres::Postgres::open(&credentials.url, credentials.timeout)?))
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &Config) -> Result<Box<dyn Roster>, Unusable> {
    Err(Unusable::NotBuilt)
}
