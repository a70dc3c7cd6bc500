//! The traits of databases of ids, and their failures.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::client::Standing;
use super::queue::Turn;
use super::unknown::Attempt;
use crate::database;
use crate::protocol::ClientId;
use crate::when;

/// A database of the ids that may authenticate.
pub(super) trait Directory: Send + Sync + 'static {
    /// Concurrent look-ups. More of them would only wait for each other.
    const AT_ONCE: usize;

    /// The row of `client`, if there is one. The look-up succeeds or fails within the timeout of the database. The `turn`
    /// ends with the query, even if the caller no longer waits.
    fn look_up(&self, client: &ClientId, turn: Turn) -> Asking<Option<Standing>>;
}

/// A database that records rejected ids.
pub(super) trait Keeper: Send + Sync + 'static {
    /// Adds `attempts` to its table, and keeps the newest `most` rows.
    fn keep(&self, attempts: Vec<Attempt>, most: usize) -> Asking<()>;
}

/// A query in progress.
pub(super) type Asking<T> = Pin<Box<dyn Future<Output = Result<T, Failed>> + Send>>;

/// The failure of a database. Displayed, it is a text for the operator.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failed {
    /// The SQLite file.
    #[error(transparent)]
    File(#[from] database::Error),
    /// PostgreSQL.
    #[error("{database}: {trouble}")]
    Postgres {
        /// Which database.
        database: String,
        /// What is wrong, and what to do.
        trouble: String,
    },
    /// The encoding of the PostgreSQL database is not UTF-8.
    #[error(
        "{database}: its encoding is {encoding}, and ids are UTF-8; make a database with `createdb --template=template0 \
         --encoding=UTF8`, and apply packaging/postgres.sql to it"
    )]
    Encoding {
        /// Which database.
        database: String,
        /// Its encoding, in PostgreSQL's words.
        encoding: String,
    },
    /// The query timed out.
    #[error("{database}: no answer within {}", when::show(*.within))]
    TooLate {
        /// Which database.
        database: String,
        /// The timeout.
        within: Duration,
    },
    /// The database cannot hold this id. It works otherwise.
    #[error("{database}: {trouble}")]
    Id {
        /// Which database.
        database: String,
        /// The reason.
        trouble: String,
    },
    /// There was no turn in time, because there are too many look-ups.
    #[error("too many look-ups")]
    Overloaded,
    /// A fault of the server itself.
    #[error("the query could not be started: {0}")]
    Unasked(String),
}

impl Failed {
    /// Whether the id is at fault, and not the database.
    pub(super) const fn concerns_the_id(&self) -> bool {
        matches!(self, Self::Id { .. })
    }
}
