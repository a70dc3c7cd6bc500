//! What the databases that know ids have in common, and how they fail.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::client::Standing;
use super::queue::Turn;
use super::unknown::Attempt;
use crate::database;
use crate::protocol::ClientId;
use crate::when;

/// A database that is asked who may authenticate.
pub(super) trait Directory: Send + Sync + 'static {
    /// Look-ups at once. More of them would only wait for each other.
    const AT_ONCE: usize;

    /// What stands there of `client`, if anything does. It has its answer, or fails, within the time that was set. The `turn`
    /// is over when the question is, even if nobody waits for the answer any more.
    fn look_up(&self, client: &ClientId, turn: Turn) -> Asking<Option<Standing>>;
}

/// A database that keeps who tried and may not.
pub(super) trait Keeper: Send + Sync + 'static {
    /// Adds `attempts` to its table, in which the newest `most` rows stay.
    fn keep(&self, attempts: Vec<Attempt>, most: usize) -> Asking<()>;
}

/// A question under way.
pub(super) type Asking<T> = Pin<Box<dyn Future<Output = Result<T, Failed>> + Send>>;

/// A database failed. Displayed, it is what an operator reads.
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
    /// PostgreSQL keeps no UTF-8.
    #[error(
        "{database}: its encoding is {encoding}, and ids are UTF-8; make a database with `createdb --template=template0 \
         --encoding=UTF8`, and apply packaging/postgres.sql to it"
    )]
    Encoding {
        /// Which database.
        database: String,
        /// What it keeps, as PostgreSQL calls it.
        encoding: String,
    },
    /// There was no answer in time.
    #[error("{database}: no answer within {}", when::show(*.within))]
    TooLate {
        /// Which database.
        database: String,
        /// How long it had.
        within: Duration,
    },
    /// The database cannot hold this id, and is otherwise in order.
    #[error("{database}: {trouble}")]
    Id {
        /// Which database.
        database: String,
        /// Why it cannot.
        trouble: String,
    },
    /// There was no turn in time, for there are too many look-ups.
    #[error("too many look-ups")]
    Overloaded,
    /// A fault of the server itself.
    #[error("the question could not be asked: {0}")]
    Unasked(String),
}

impl Failed {
    /// Whether the question was at fault, and not the database.
    pub(super) const fn concerns_the_id(&self) -> bool {
        matches!(self, Self::Id { .. })
    }
}
