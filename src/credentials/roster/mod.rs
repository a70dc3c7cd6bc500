//! The ids as an operator sees and changes them, beside a server that runs.

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::time::SystemTime;

use super::client::Client;
use super::unknown::Attempt;
use super::{Failed, Unusable};
use crate::config::{Config, Source};
use crate::protocol::ClientId;

/// Ids that are read at once.
const PAGE: usize = 1000;

/// The tables of ids in a database. Each change is there as a whole when it returns, or not at all.
pub trait Roster {
    /// Which database it is.
    fn name(&self) -> String;

    /// Adds an id. False if it is there already, and is left as it is.
    fn add(&mut self, client: &Entry) -> Result<bool, Failed>;

    /// Removes an id. False if it is not there.
    fn remove(&mut self, client: &ClientId) -> Result<bool, Failed>;

    /// Enables or disables an id. False if it is not there.
    fn enable(&mut self, client: &ClientId, enabled: bool) -> Result<bool, Failed>;

    /// Adds and changes ids, no two alike, in one transaction.
    fn import(&mut self, entries: &[Entry]) -> Result<Imported, Failed>;

    /// The next ids behind `after`, in order; none is the end. Behind "" is the first.
    fn page(&mut self, after: &str) -> Result<Vec<Client>, Failed>;

    /// Who tried and may not, the newest first.
    fn unknown(&mut self) -> Result<Vec<Attempt>, Failed>;

    /// How many ids there are.
    fn count(&mut self) -> Result<Count, Failed>;
}

/// What is to stand of an id. What is `None` stays as it is, or is the default of a new id: enabled, no note, no expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id.
    pub id: ClientId,
    /// Whether it may authenticate.
    pub enabled: Option<bool>,
    /// The operator's.
    pub note: Option<String>,
    /// From when on it may not any more; `Some(None)` is never.
    pub expires_at: Option<Option<SystemTime>>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Ids that were not there.
    pub added: usize,
    /// Ids that were there.
    pub updated: usize,
}

/// How many ids there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub clients: u64,
    /// Those among them that are disabled.
    pub disabled: u64,
    /// Rejected ids that are recorded.
    pub rejected: u64,
}

/// What a roster is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing is changed, and nothing is made.
    Read,
    /// A SQLite file that is missing is created, if its folder is that of a server.
    Write,
}

/// Opens the tables that the config's source uses. With the source `list`, only those who tried and may not stand in one;
/// `None` if not even they do.
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
