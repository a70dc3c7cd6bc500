//! Authentication: the credentials know the valid ids, the registry knows which session owns an id.

use std::fmt::Display;
use std::sync::Arc;

use crate::address::Peer;
use crate::credentials::{Current, Denied};
use crate::protocol::ClientId;
use crate::registry::{Register, Registration, Registry, Table};
use crate::supervisor::Name;

/// Checks the ids that peers state.
pub struct Authority {
    /// The credentials in effect.
    pub current: Current,
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
    /// The answer of the credentials about an id from `peer`.
    pub(super) fn checked(
        &self,
        answer: Result<(), Denied>,
        client: &ClientId,
        peer: Peer,
    ) -> Result<(), Refusal> {
        answer.map_err(|denied| {
            self.current.now().unknown.note(client, peer, &denied);
            Refusal::new(denied)
        })
    }

    /// Asks the registry, which decides about an id that is already connected.
    pub(super) async fn decide(self: Arc<Self>, held: Register) -> Result<Registration, Refusal> {
        match self.registry.call(|| held.clone()).await {
            Ok(decided) => decided.map_err(Refusal::new),
            Err(err) => Err(Refusal::new(format_args!("the registry: {err}"))),
        }
    }
}
