//! The credentials in effect: a reload replaces them while look-ups go on.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::{Credentials, Unknown};
use crate::supervisor::{Background, Work};

/// The credentials, and what belongs to them.
pub struct Authenticator {
    /// The valid ids.
    pub credentials: Arc<dyn Credentials>,
    /// The timeout of one look-up, from its first wait to its answer.
    pub timeout: Duration,
    /// Rejected ids.
    pub unknown: Unknown,
}

/// The authenticator in effect. A clone is a handle to the same one.
#[derive(Clone)]
pub struct Current(Arc<RwLock<Arc<Authenticator>>>);

impl Current {
    /// Begins with this one.
    pub fn new(authenticator: Authenticator) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(authenticator))))
    }

    /// The one in effect.
    pub fn now(&self) -> Arc<Authenticator> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it. Look-ups that have begun end as they would have.
    pub fn replace(&self, authenticator: Authenticator) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(authenticator);
    }
}

/// Writes the rejected ids of the authenticator that was in effect when it started.
impl Background for Current {
    fn work(&self) -> Option<Work> {
        self.now().unknown.work()
    }

    fn finish(&self) {
        self.now().unknown.finish();
    }
}
