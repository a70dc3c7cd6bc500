//! What the listeners of a server have in common.

use actix_rt::ArbiterHandle;

use super::gate::Gate;
use super::limits::SharedLimits;
use crate::faults::Faults;
use crate::stats::Board;

/// What the listeners of a server have in common.
#[derive(Clone, Default)]
pub struct Common {
    /// The threads that run acceptors and sessions.
    pub workers: Vec<Worker>,
    /// The counters.
    pub board: Board,
    /// The limits.
    pub limits: SharedLimits,
    /// Faults on demand.
    pub faults: Faults,
}

/// A thread that runs acceptors and sessions.
#[derive(Clone)]
pub struct Worker {
    /// Runs its actors.
    pub arbiter: ArbiterHandle,
    /// Held closed, its acceptors accept nothing; those of other workers do.
    pub gate: Gate,
}

impl From<ArbiterHandle> for Worker {
    fn from(arbiter: ArbiterHandle) -> Self {
        Self { arbiter, gate: Gate::default() }
    }
}
