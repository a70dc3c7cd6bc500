//! What each known source uses of its limits.
//!
//! A source without connections is in a heap, by the time at which it can be forgotten. Each entry is there once at the
//! most; its time may be too early, and is corrected when it comes. So each connection costs a constant number of heap
//! operations.

use std::cmp::Reverse;
use std::collections::hash_map::Entry as Found;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::{Limits, Refusal, Spot};
use crate::access::bucket::{Bucket, RateLimit};
use crate::access::source::Source;

/// How many sources one connection forgets, so that it is not delayed by all sources of a past flood.
const FORGOTTEN_AT_ONCE: usize = 16;

#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    max_sources: usize,
    known: HashMap<Source, Known>,
    idle: BinaryHeap<Reverse<(u64, Source)>>,
    /// The latest time that was given.
    now: u64,
}

#[derive(Debug)]
struct Known {
    open: u32,
    /// `None` if it is full: without a limit on the rate, or before its first use.
    bucket: Option<Bucket>,
    is_in_heap: bool,
    spot: Arc<Spot>,
}

impl Table {
    pub(super) fn new(limits: Limits, max_sources: usize) -> Self {
        Self { limits, max_sources, known: HashMap::new(), idle: BinaryHeap::new(), now: 0 }
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Counts a connection of `source`, if it is within the limits. `make_spot` is for a source that is not known.
    pub(super) fn enter(
        &mut self,
        source: Source,
        now: u64,
        make_spot: impl FnOnce() -> Arc<Spot>,
    ) -> Result<Arc<Spot>, Refusal> {
        self.now = self.now.max(now);
        self.forget();
        let is_full = self.known.len() >= self.max_sources;
        match self.known.entry(source) {
            Found::Occupied(mut known) => known.get_mut().enter(&self.limits, self.now),
            Found::Vacant(_) if self.limits.max_connections == Some(0) => Err(Refusal::TooMany),
            Found::Vacant(_) if is_full => Err(Refusal::TooFast),
            Found::Vacant(vacant) => vacant.insert(Known::new(make_spot())).enter(&self.limits, self.now),
        }
    }

    /// Ends a connection of `source`.
    pub(super) fn leave(&mut self, source: &Source) {
        if let Some(known) = self.known.get_mut(source) {
            known.open = known.open.saturating_sub(1);
            self.rest(*source);
        }
    }

    /// Returns what a connection of `source` took of the rate.
    pub(super) fn give_back(&mut self, source: &Source) {
        let bucket = self.known.get_mut(source).and_then(|known| known.bucket.as_mut());
        if let (Some(bucket), Some(limit)) = (bucket, self.limits.rate) {
            bucket.give_back(limit);
        }
    }

    pub(super) fn set(&mut self, limits: Limits, now: u64) {
        self.now = self.now.max(now);
        let old = std::mem::replace(&mut self.limits, limits);
        if old.rate == limits.rate {
            return;
        }
        let now = self.now;
        self.known.retain(|_, known| known.open > 0 || known.forgotten_at(old.rate) > now);
        // The times in the heap are those of the old rate.
        self.idle.clear();
        for known in self.known.values_mut() {
            known.is_in_heap = false;
            known.change(old.rate, limits.rate, now);
        }
        let sources: Vec<_> = self.known.keys().copied().collect();
        sources.into_iter().for_each(|source| self.rest(source));
    }

    /// Forgets sources whose time has come: a few, or as many as it takes to have room.
    fn forget(&mut self) {
        for count in 0.. {
            let is_due = self.idle.peek().is_some_and(|Reverse((at, _))| *at <= self.now);
            if !is_due || (count >= FORGOTTEN_AT_ONCE && self.known.len() < self.max_sources) {
                return;
            }
            if let Some(Reverse((_, source))) = self.idle.pop()
                && let Some(known) = self.known.get_mut(&source)
            {
                known.is_in_heap = false;
                self.rest(source);
            }
        }
    }

    /// Forgets a source without connections, now or when its rate has recovered.
    fn rest(&mut self, source: Source) {
        let resting = |known: &&mut Known| known.open == 0 && !known.is_in_heap;
        let Some(known) = self.known.get_mut(&source).filter(resting) else { return };
        let forgotten_at = known.forgotten_at(self.limits.rate);
        if forgotten_at <= self.now {
            self.known.remove(&source);
        } else {
            known.is_in_heap = true;
            self.idle.push(Reverse((forgotten_at, source)));
        }
    }
}

impl Known {
    const fn new(spot: Arc<Spot>) -> Self {
        Self { open: 0, bucket: None, is_in_heap: false, spot }
    }

    fn enter(&mut self, limits: &Limits, now: u64) -> Result<Arc<Spot>, Refusal> {
        if limits.max_connections.is_some_and(|max| self.open >= max) {
            return Err(Refusal::TooMany);
        }
        if let Some(limit) = limits.rate
            && !self.bucket.get_or_insert_with(|| Bucket::full(limit, now)).try_take(limit, now)
        {
            return Err(Refusal::TooFast);
        }
        self.open += 1;
        Ok(Arc::clone(&self.spot))
    }

    fn change(&mut self, old: Option<RateLimit>, new: Option<RateLimit>, now: u64) {
        match (&mut self.bucket, old, new) {
            (Some(bucket), Some(old), Some(new)) => bucket.change(old, new, now),
            _ => self.bucket = None,
        }
    }

    /// When nothing of the rate is left to remember.
    fn forgotten_at(&self, limit: Option<RateLimit>) -> u64 {
        let bucket = self.bucket.as_ref().zip(limit);
        bucket.map_or(0, |(bucket, limit)| bucket.forgotten_at(limit))
    }
}
