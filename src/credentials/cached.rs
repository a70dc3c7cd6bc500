//! Look-up results, cached for a while, and used for longer while the database is down.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hashlink::LruCache;

use super::client::Standing;
use super::directory::{Directory, Failed};
use super::overload::Overload;
use super::queue::Queue;
use super::{Checking, Credentials, Denied};
use crate::config;
use crate::logging::Outage;
use crate::protocol::ClientId;

/// A database of ids, and its cached results. Ids that it does not know are not cached: a flood of them would push out the
/// others.
pub(super) struct Cached<D>(Arc<Inner<D>>);

struct Inner<D> {
    directory: D,
    queue: Queue,
    lifetime: Duration,
    /// How long an entry is used after its lifetime while the database is down.
    grace: Duration,
    entries: Mutex<LruCache<ClientId, Entry>>,
    asking: Outage,
    /// Whether the last completed look-up failed.
    is_down: AtomicBool,
    overload: Overload,
}

#[derive(Clone)]
struct Entry {
    standing: Standing,
    /// The time of the query: a later change may be missing.
    asked: Instant,
}

impl<D: Directory> Cached<D> {
    /// Looks ids up in `directory` as the config says; without a `cache_time`, nothing is cached.
    pub(super) fn new(directory: D, config: &config::Credentials) -> Self {
        let size = if config.cache_time.is_some() { config.cache_size } else { 0 };
        Self(Arc::new(Inner {
            directory,
            queue: Queue::new(D::AT_ONCE, config.timeout),
            lifetime: config.cache_time.unwrap_or_default(),
            grace: config.outage_grace.unwrap_or_default(),
            entries: Mutex::new(LruCache::new(size)),
            asking: Outage::none("the look-up of ids"),
            is_down: AtomicBool::new(false),
            overload: Overload::default(),
        }))
    }
}

impl<D: Directory> Credentials for Cached<D> {
    fn check(&self, client: &ClientId, peer: IpAddr) -> Checking {
        if let Some(standing) = self.0.fresh(client) {
            return Box::pin(std::future::ready(standing.check(SystemTime::now(), peer)));
        }
        let (inner, client) = (Arc::clone(&self.0), client.clone());
        Box::pin(async move { inner.ask(&client, peer).await })
    }
}

impl<D: Directory> Inner<D> {
    async fn ask(&self, client: &ClientId, peer: IpAddr) -> Result<(), Denied> {
        let standing = match self.look_up(client).await {
            Ok(standing) => standing,
            // An id that the database cannot hold is no sign of an outage.
            Err(err) if err.concerns_the_id() => return Err(Denied::Unavailable(err.to_string())),
            Err(Failed::Overloaded) if !self.is_down.load(Ordering::Relaxed) => {
                self.overload.note();
                return Err(Denied::Overloaded);
            }
            Err(err) => Some(self.remembered(client, &err)?),
        };
        standing.ok_or(Denied::Unknown)?.check(SystemTime::now(), peer)
    }

    async fn look_up(&self, client: &ClientId) -> Result<Option<Standing>, Failed> {
        let turn = self.queue.turn(self.entry(client).is_none()).await?;
        if let Some(standing) = self.fresh(client) {
            // Looked up by another session of the id in the meantime.
            return Ok(Some(standing));
        }
        let asked = Instant::now();
        let answer = self.directory.look_up(client, turn).await;
        match &answer {
            Ok(standing) => self.answered(client, standing.clone(), asked),
            Err(err) if err.concerns_the_id() => {}
            Err(_) => self.is_down.store(true, Ordering::Relaxed),
        }
        answer
    }

    fn answered(&self, client: &ClientId, standing: Option<Standing>, asked: Instant) {
        self.is_down.store(false, Ordering::Relaxed);
        self.asking.works();
        self.overload.look();
        self.remember(client, standing, asked);
    }

    /// The cached result while the database is down, unless it is too old.
    fn remembered(&self, client: &ClientId, err: &Failed) -> Result<Standing, Denied> {
        let usable = |entry: &Entry| entry.asked.elapsed() < self.lifetime.saturating_add(self.grace);
        let standing = self.entry(client).filter(usable).map(|entry| entry.standing);
        let consequence = "cached ids are still accepted; others are rejected";
        self.asking.begin(err, consequence, u64::from(standing.is_none()));
        standing.ok_or_else(|| Denied::Unavailable(err.to_string()))
    }

    fn entry(&self, client: &ClientId) -> Option<Entry> {
        self.entries().get(client).cloned()
    }

    fn fresh(&self, client: &ClientId) -> Option<Standing> {
        let entry = self.entry(client)?;
        (entry.asked.elapsed() < self.lifetime).then_some(entry.standing)
    }

    /// Caches a result, unless a later query was answered sooner.
    fn remember(&self, client: &ClientId, standing: Option<Standing>, asked: Instant) {
        let mut entries = self.entries();
        if entries.get(client).is_some_and(|entry| entry.asked > asked) {
            return;
        }
        match standing {
            Some(standing) => entries.insert(client.clone(), Entry { standing, asked }),
            None => entries.remove(client),
        };
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<ClientId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
