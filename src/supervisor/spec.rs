//! The specification of a child: what its supervisor needs to start it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::exit::{Exit, panic_text, with_place};
use super::intensity::Intensity;
use super::started::Started;

/// Starts a child, in each of its lives. Values that outlive the child belong to this function; they are dropped
/// when the child is deleted.
pub type Start = Box<dyn FnMut() -> Result<Started, String> + Send>;

/// When a child that has ended is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Unless it stopped by itself, without a fault.
    Transient,
    /// Never: a child that has ended is forgotten.
    Temporary,
}

/// OTP's `child_spec()`: a child's id, restart policy and start function.
pub struct ChildSpec {
    pub(super) id: String,
    pub(super) restart: Restart,
    pub(super) intensity: Option<Intensity>,
    start: Start,
}

impl ChildSpec {
    /// A permanent child whose restarts count against the limit of the supervisor. Neighbours of one kind, which is the
    /// first word of their ids, stop together; all other children stop one after the other.
    pub fn new(
        id: impl Into<String>,
        start: impl FnMut() -> Result<Started, String> + Send + 'static,
    ) -> Self {
        Self { id: id.into(), restart: Restart::Permanent, intensity: None, start: Box::new(start) }
    }

    /// Sets the restart policy.
    #[must_use]
    pub const fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Gives the child a restart limit of its own. When it exceeds this limit, the child alone gives up, and is retried
    /// once a minute. The supervisor goes on.
    #[must_use]
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.intensity = Some(intensity);
        self
    }

    /// The first word of the id.
    pub(super) fn kind(&self) -> &str {
        self.id.split(' ').next().unwrap_or_default()
    }

    /// Runs the start function. Its panic is the child's failure, not the supervisor's.
    pub(super) fn start(&mut self) -> Result<Started, Exit> {
        match catch_unwind(AssertUnwindSafe(&mut self.start)) {
            Ok(started) => started.map_err(Exit::Failed),
            Err(panic) => Err(Exit::Panicked(panic_text(with_place(panic).as_ref()).to_owned())),
        }
    }
}
