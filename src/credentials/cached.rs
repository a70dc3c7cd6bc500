//! What a database said of ids, remembered for a while, and for longer while the database is down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hashlink::LruCache;

use super::client::Standing;
use super::directory::{Directory, Failed};
use super::{Checking, Credentials, Denied};
use crate::logging::Outage;
use crate::protocol::ClientId;

/// A database of ids, and what it said. Ids that it does not know are not remembered: a flood of them would push out the
/// others.
pub(super) struct Cached<D>(Arc<Inner<D>>);

struct Inner<D> {
    directory: D,
    lifetime: Duration,
    entries: Mutex<LruCache<ClientId, Entry>>,
    asking: Outage,
}

#[derive(Clone, Copy)]
struct Entry {
    standing: Standing,
    /// When the database was asked: what changed later may have been missed.
    asked: Instant,
}

impl<D: Directory> Cached<D> {
    /// Remembers what `directory` says of `size` ids for so long; without a `lifetime`, it remembers nothing.
    pub(super) fn new(directory: D, lifetime: Option<Duration>, size: usize) -> Self {
        let entries = Mutex::new(LruCache::new(if lifetime.is_some() { size } else { 0 }));
        let asking = Outage::none("the look-up of ids");
        Self(Arc::new(Inner { directory, lifetime: lifetime.unwrap_or_default(), entries, asking }))
    }
}

impl<D: Directory> Credentials for Cached<D> {
    fn check(&self, client: &ClientId) -> Checking {
        if let Some(standing) = self.0.fresh(client) {
            return Box::pin(std::future::ready(standing.check(SystemTime::now())));
        }
        let (inner, client) = (Arc::clone(&self.0), client.clone());
        Box::pin(async move { inner.ask(&client).await })
    }
}

impl<D: Directory> Inner<D> {
    async fn ask(&self, client: &ClientId) -> Result<(), Denied> {
        let asked = Instant::now();
        let standing = match self.directory.look_up(client).await {
            Ok(standing) => {
                self.asking.works();
                self.remember(client, standing, asked);
                standing
            }
            Err(err) => Some(self.remembered(client, &err)?),
        };
        standing.ok_or(Denied::Unknown)?.check(SystemTime::now())
    }

    /// What is remembered, however old, while the database fails.
    fn remembered(&self, client: &ClientId, err: &Failed) -> Result<Standing, Denied> {
        let remembered = self.entries().get(client).map(|entry| entry.standing);
        let consequence = "ids that are remembered go on, and all others are refused";
        self.asking.begin(err, consequence, u64::from(remembered.is_none()));
        remembered.ok_or_else(|| Denied::Unavailable(err.to_string()))
    }

    fn fresh(&self, client: &ClientId) -> Option<Standing> {
        let mut entries = self.entries();
        let entry = entries.get(client)?;
        (entry.asked.elapsed() < self.lifetime).then_some(entry.standing)
    }

    /// Unless somebody asked later and was answered sooner.
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
