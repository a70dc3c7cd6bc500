//! Who may authenticate.

mod list;

use std::future::Future;
use std::pin::Pin;

use crate::protocol::ClientId;

pub use list::List;

/// A store of known ids.
pub trait Credentials: Send + Sync + 'static {
    /// Looks `client` up. The caller sets the deadline, and drops the look-up when it is over.
    fn check(&self, client: &ClientId) -> Checking;
}

/// A look-up under way.
pub type Checking = Pin<Box<dyn Future<Output = Result<(), Denied>> + Send>>;

/// Why an id may not authenticate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody knows it.
    #[error("the id is unknown")]
    Unknown,
    /// It could not be looked up; the store is at fault, not the device.
    #[error("the id could not be looked up: {0}")]
    Unavailable(String),
}
