//! Rate limits by name, for log lines: token buckets.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hashlink::LruCache;

/// The number of buckets. The least recently used bucket is dropped first; a new one starts full.
const KEPT: usize = 4096;

/// A bucket for each of the most recent names.
#[derive(Debug)]
pub struct Pace {
    burst: f64,
    per_second: f64,
    /// By hash: a name may be long, and outsiders cannot find two names with the same hash.
    buckets: Mutex<LruCache<u64, Bucket>>,
    hashes: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Pace {
    /// Each name gets `burst` tokens at first, and `per_second` more in the long run.
    pub fn new(burst: f64, per_second: f64) -> Self {
        let buckets = Mutex::new(LruCache::new(KEPT));
        Self { burst, per_second, buckets, hashes: RandomState::new() }
    }

    /// Takes a token of `name`, if it has one. Returns whether it had.
    pub fn admits(&self, name: impl Hash, now: Instant) -> bool {
        self.with(name, now, |bucket| {
            let admits = bucket.tokens >= 1.0;
            bucket.tokens -= f64::from(u8::from(admits));
            admits
        })
    }

    /// Takes this many more tokens from `name`; the balance may become negative.
    pub fn charge(&self, name: impl Hash, tokens: f64, now: Instant) {
        self.with(name, now, |bucket| bucket.tokens -= tokens);
    }

    fn with<T>(&self, name: impl Hash, now: Instant, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let name = self.hashes.hash_one(name);
        let mut buckets = self.buckets();
        let full = Bucket { tokens: self.burst, at: now };
        let bucket = buckets.entry(name).or_insert(full);
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        *bucket = Bucket { tokens: (bucket.tokens + gained).min(self.burst), at: now };
        act(bucket)
    }

    fn buckets(&self) -> MutexGuard<'_, LruCache<u64, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_admitted_and_then_a_number_per_second() {
        let (pace, start) = (Pace::new(3.0, 2.0), Instant::now());
        let admitted = |name, at| (0..9).filter(|_| pace.admits(name, at)).count();
        assert_eq!(admitted("a", start), 3);
        assert_eq!(admitted("b", start), 3);
        assert_eq!(admitted("a", start + Duration::from_secs(1)), 2);
        assert_eq!(admitted("a", start + Duration::from_secs(60)), 3);
    }

    #[test]
    fn a_negative_balance_is_paid_back() {
        let (pace, start) = (Pace::new(3.0, 1.0), Instant::now());
        pace.charge("a", 13.0, start);
        assert!(!pace.admits("a", start + Duration::from_millis(10_900)));
        assert!(pace.admits("a", start + Duration::from_millis(11_100)));
    }

    #[test]
    fn any_number_of_names_takes_little_memory() {
        let (pace, now) = (Pace::new(1.0, 1.0), Instant::now());
        (0..10 * KEPT).for_each(|name| assert!(pace.admits(name, now)));
        assert!(pace.buckets().len() <= KEPT + 1);
    }
}
