//! Authentication: the credentials know the valid ids, the registry knows which session owns an id.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::credentials::{Credentials, Unknown};
use crate::protocol::ClientId;
use crate::registry::{Register, Registration, Registry, Table};
use crate::supervisor::Name;

/// Checks the ids that peers state.
pub struct Authority {
    /// The valid ids.
    pub credentials: Arc<dyn Credentials>,
    /// The timeout of one look-up.
    pub timeout: Duration,
    /// Rejected ids.
    pub unknown: Unknown,
    /// The connected ids.
    pub table: Table,
    /// Decides about ids that are already connected.
    pub registry: Name<Registry>,
}

/// The reason why an id was rejected.
pub(super) struct Refusal(pub(super) String);

impl Refusal {
    fn new(why: impl Display) -> Self {
        Self(why.to_string())
    }
}

impl Authority {
    /// Whether the credentials know an id from `peer`.
    pub(super) async fn identify(&self, client: &ClientId, peer: SocketAddr) -> Result<(), Refusal> {
        self.credentials.check(client).await.map_err(|denied| {
            self.unknown.note(client, peer, &denied);
            Refusal::new(denied)
        })
    }

    /// Registers a known id. The registry decides only if the id is already connected.
    pub(super) async fn register(&self, new: Register) -> Result<Registration, Refusal> {
        let held = match self.table.insert_new(new) {
            Ok(registration) => return Ok(registration),
            Err(held) => held,
        };
        match self.registry.call(|| held.clone()).await {
            Ok(decided) => decided.map_err(Refusal::new),
            Err(err) => Err(Refusal::new(format_args!("the registry: {err}"))),
        }
    }
}
