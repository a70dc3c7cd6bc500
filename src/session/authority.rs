//! Who may be whom: the credentials know the ids, the registry knows which session has each of them.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::credentials::{Credentials, Unknown};
use crate::protocol::ClientId;
use crate::registry::{Register, Registration, Registry, Table};
use crate::supervisor::Name;

/// What sessions ask when a peer says who it is.
pub struct Authority {
    /// Who may authenticate.
    pub credentials: Arc<dyn Credentials>,
    /// How long they may take for one id.
    pub timeout: Duration,
    /// Ids that were rejected.
    pub unknown: Unknown,
    /// Who is connected.
    pub table: Table,
    /// Who decides of an id that is connected already.
    pub registry: Name<Registry>,
}

/// Why an id was refused.
pub(super) struct Refusal(pub(super) String);

impl Refusal {
    fn new(why: impl Display) -> Self {
        Self(why.to_string())
    }
}

impl Authority {
    /// Whether the credentials know an id that came from `peer`.
    pub(super) async fn identify(&self, client: &ClientId, peer: SocketAddr) -> Result<(), Refusal> {
        self.credentials.check(client).await.map_err(|denied| {
            self.unknown.note(client, peer, &denied);
            Refusal::new(denied)
        })
    }

    /// A row of the registry for an id that is known. Only of one that is held the registry has to decide.
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
