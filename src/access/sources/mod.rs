//! Limits per source address: open connections, and new connections per second.
//!
//! A source is known as long as it counts: while it has open connections, or its rate has not recovered. The number of
//! known sources is limited to [`MAX_SOURCES`]; at that limit, a new source is refused as [`Refusal::TooFast`], because
//! nothing is admitted unchecked. A known source takes about 200 bytes. With no limit set, nothing is kept and nothing
//! is locked.

mod table;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use self::table::Table;
use super::bucket::RateLimit;
use super::epoch::Epoch;
use super::source::{NETWORK, Source};

/// The maximum number of known sources.
pub const MAX_SOURCES: usize = 1 << 20;

/// The limits of each source. `None` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. With 0, no connection is admitted.
    pub max_connections: Option<u32>,
    /// New connections per second.
    pub rate: Option<RateLimit>,
    /// The prefix length of an IPv6 source.
    pub ipv6_prefix: u8,
}

impl Limits {
    const fn is_any(&self) -> bool {
        self.max_connections.is_some() || self.rate.is_some()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: None, rate: None, ipv6_prefix: NETWORK }
    }
}

/// The limit that a connection exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The source has as many open connections as it may have.
    #[error("the source has the maximum number of open connections: close one, or raise the limit")]
    TooMany,
    /// The source connects faster than it may, or too many sources are known.
    #[error("the source connects too often: connect later, or raise the limit")]
    TooFast,
}

/// The limits, and what all sources use of them. A clone is a handle to the same sources.
#[derive(Clone, Debug)]
pub struct Sources(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whether any limit is set, readable without the lock.
    is_limited: AtomicBool,
    epoch: Epoch,
    table: Mutex<Table>,
}

impl Sources {
    /// Sources with these limits.
    pub fn new(limits: Limits) -> Self {
        Self::with_room(limits, MAX_SOURCES)
    }

    fn with_room(limits: Limits, max_sources: usize) -> Self {
        Self(Arc::new(Shared {
            is_limited: limits.is_any().into(),
            epoch: Epoch::default(),
            table: Mutex::new(Table::new(limits, max_sources)),
        }))
    }

    /// Whether any limit is set.
    pub fn is_limited(&self) -> bool {
        self.0.is_limited.load(Ordering::Acquire)
    }

    /// Admits a connection of this address, if its source is within its limits.
    pub fn enter(&self, address: IpAddr, now: Instant) -> Result<Visit, Refusal> {
        if !self.is_limited() {
            return Ok(Visit(None));
        }
        let now = self.0.epoch.nanos(now);
        let mut table = self.lock();
        let source = Source::of(address, table.limits().ipv6_prefix);
        let make_spot = || Arc::new(Spot { sources: Arc::downgrade(&self.0), source });
        table.enter(source, now, make_spot).map(|spot| Visit(Some(spot)))
    }

    /// Replaces the limits. Open connections stay. A source keeps what it has spent of its rate; connections that were
    /// opened without any limit, or under another prefix length, do not count.
    pub fn set(&self, limits: Limits, now: Instant) {
        let now = self.0.epoch.nanos(now);
        let mut table = self.lock();
        table.set(limits, now);
        self.0.is_limited.store(limits.is_any(), Ordering::Release);
    }

    /// The number of known sources.
    pub fn known(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way from a connection back to its source: one for all connections of a source.
#[derive(Debug)]
struct Spot {
    sources: Weak<Shared>,
    source: Source,
}

/// A connection that counts for its source. Dropping it ends that.
#[derive(Debug)]
#[must_use = "dropping it frees the place"]
pub struct Visit(Option<Arc<Spot>>);

impl Visit {
    /// A connection that counts for no source.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Gives back what the connection took of the rate, because it ended before any data. The limit on that is the one
    /// of [`bucket`](super::bucket). To be called once.
    pub fn give_back_token(&self) {
        self.with_table(Table::give_back);
    }

    fn with_table(&self, act: fn(&mut Table, &Source)) {
        if let Some(spot) = &self.0
            && let Some(sources) = spot.sources.upgrade()
        {
            act(&mut sources.lock(), &spot.source);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.with_table(Table::leave);
    }
}

#[cfg(test)]
mod tests;
