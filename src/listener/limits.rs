//! The limits on connections that a listener may share with others: the rates, by name, and the places of the server.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::access::{Excess, Permits, Rate, RateLimit};

/// The shared limits of a server. A clone is a handle to the same ones.
#[derive(Clone)]
pub struct SharedLimits {
    /// The places of the server, over all its listeners.
    pub places: Permits,
    rates: Arc<Mutex<HashMap<String, Rate>>>,
}

impl SharedLimits {
    /// At most this many connections on all listeners together.
    pub fn new(max_connections: usize) -> Self {
        Self { places: Permits::new(max_connections), rates: Arc::default() }
    }

    /// The rate with this name, at this limit from now on. What was spent of it remains spent.
    pub(super) fn rate(&self, name: &str, limit: RateLimit, now: Instant) -> Rate {
        let RateLimit { per_second, burst } = limit;
        // Each change is one statement.
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rates.entry(name.to_owned()).or_insert_with(|| Rate::new(per_second, burst));
        rate.set(per_second, burst, now);
        rate.clone()
    }
}

/// No limit over all listeners.
impl Default for SharedLimits {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

/// The limit on the rate of new connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRate {
    /// Connections per second, and at once after a quiet time.
    pub limit: RateLimit,
    /// The name of the rate, if listeners share it. Each listener with this name sets its limit.
    pub shared: Option<String>,
    /// What happens to a connection beyond it.
    pub excess: Excess,
}

/// Refusals of a listener per second, and at once: more connections wait in the backlog, so that a storm costs a bounded
/// part of a processor.
pub(super) const REFUSALS: RateLimit = RateLimit::new(NonZeroU32::new(2000).unwrap(), 500);
