//! The ids that may authenticate.
//!
//! | file | subject |
//! |---|---|
//! | `list` | the ids of the config |
//! | `cached` | look-up results, cached, and used for longer while the database is down |
//! | `queue` `overload` | look-ups that wait for their turn, and those that get none in time |
//! | `directory` | the traits of databases of ids, and their failures |
//! | `sqlite` `postgres` | look-ups in each of them |
//! | [`client`] | a row of a database of ids |
//! | [`unknown`] | rejected ids |
//! | [`roster`] | the ids as an operator sees and changes them |
//! | `source` | the credentials that a config asks for |
//! | `current` | the credentials in effect, which a reload replaces |

mod cached;
pub mod client;
mod current;
mod directory;
mod list;
mod overload;
#[cfg(feature = "postgres")]
mod postgres;
mod queue;
pub mod roster;
mod source;
mod sqlite;
pub mod unknown;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use crate::protocol::ClientId;

pub use current::{Authenticator, Current};
pub use directory::Failed;
pub use list::List;
pub use source::{Unusable, open};
pub use unknown::Unknown;

/// A store of known ids.
pub trait Credentials: Send + Sync + 'static {
    /// Looks `client` up, which connects from `peer`. The caller sets the deadline, and drops the look-up when it is over.
    fn check(&self, client: &ClientId, peer: IpAddr) -> Checking;
}

/// A look-up under way.
pub type Checking = Pin<Box<dyn Future<Output = Result<(), Denied>> + Send>>;

/// Why an id may not authenticate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No source has it.
    #[error("the id is unknown")]
    Unknown,
    /// It is known, and disabled.
    #[error("the id is disabled")]
    Disabled,
    /// It is known, and has expired.
    #[error("the id expired at {at}")]
    Expired {
        /// The time of expiry.
        at: String,
    },
    /// It is known, and may come only from other addresses.
    #[error("the id may not come from this address")]
    Elsewhere,
    /// There are more look-ups than the database can answer in time.
    #[error("the id could not be looked up: too many look-ups")]
    Overloaded,
    /// The look-up failed. The database is at fault, not the device.
    #[error("the id could not be looked up: {0}")]
    Unavailable(String),
}
