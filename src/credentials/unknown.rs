//! Rejected ids, recorded for the operator. Sessions note them in memory; once a second they are written to a database.
//! The memory and the table are bounded: the id with the oldest attempt is removed first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hashlink::LruCache;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Denied;
use super::directory::{Failed, Keeper};
use crate::address::Peer;
use crate::logging::Outage;
use crate::protocol::ClientId;
use crate::supervisor::{Background, Work};

/// How often the database is written.
const EVERY: Duration = Duration::from_secs(1);

/// Ids per transaction: it locks the file.
const AT_ONCE: usize = 1000;

/// A rejected id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The id.
    pub id: String,
    /// The peer of the last attempt.
    pub peer: String,
    /// The time of the first attempt.
    pub first_at: SystemTime,
    /// The time of the last attempt.
    pub last_at: SystemTime,
    /// The number of attempts.
    pub times: u64,
    /// Why it was rejected: "unknown", "disabled", "expired" or "elsewhere".
    pub reason: String,
}

/// Notes rejected ids. A clone is a handle to the same notes.
#[derive(Clone)]
pub struct Unknown(Option<Arc<Notes>>);

struct Notes {
    keeper: Box<dyn Keeper>,
    most: usize,
    /// Ids that are not in the database yet, the oldest first.
    waiting: Mutex<LruCache<String, Attempt>>,
    /// Signals that an id was noted, or that no more will be.
    news: Notify,
    is_finished: AtomicBool,
    keeping: Outage,
}

impl Unknown {
    /// Notes nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    pub(super) fn kept_by(keeper: impl Keeper, most: usize) -> Self {
        let waiting = Mutex::new(LruCache::new(most));
        let keeping = Outage::none("recording rejected ids");
        let (news, is_finished) = Default::default();
        let notes = Notes { keeper: Box::new(keeper), most, waiting, news, is_finished, keeping };
        Self((most > 0).then(|| Arc::new(notes)))
    }

    /// Notes that `client` tried from `peer` and was rejected.
    pub fn note(&self, client: &ClientId, peer: Peer, denied: &Denied) {
        let (Some(notes), Some(reason)) = (&self.0, reason(denied)) else { return };
        let now = SystemTime::now();
        let attempt = Attempt {
            id: client.to_string(),
            peer: peer.to_string(),
            first_at: now,
            last_at: now,
            times: 1,
            reason: reason.into(),
        };
        add(&mut notes.waiting(), attempt);
        notes.news.notify_one();
    }
}

/// Writes the noted ids.
impl Background for Unknown {
    fn work(&self) -> Option<Work> {
        let notes = Arc::clone(self.0.as_ref()?);
        Some(Box::pin(async move {
            notes.write().await;
            Ok(())
        }))
    }

    fn finish(&self) {
        if let Some(notes) = &self.0 {
            notes.is_finished.store(true, Ordering::Release);
            notes.news.notify_one();
        }
    }
}

/// The reason in the table, if the id itself is at fault.
const fn reason(denied: &Denied) -> Option<&'static str> {
    match denied {
        Denied::Unknown => Some("unknown"),
        Denied::Disabled => Some("disabled"),
        Denied::Expired { .. } => Some("expired"),
        Denied::Elsewhere => Some("elsewhere"),
        Denied::Overloaded | Denied::Unavailable(_) => None,
    }
}

impl Notes {
    /// Writes until no more ids will be noted. The last write is not retried.
    async fn write(&self) {
        loop {
            self.news.notified().await;
            let pause = sleep(EVERY);
            tokio::pin!(pause);
            // More ids may be noted during the write.
            while !self.is_finished.load(Ordering::Acquire) {
                tokio::select! {
                    () = &mut pause => break,
                    () = self.news.notified() => {}
                }
            }
            let is_last = self.is_finished.load(Ordering::Acquire);
            self.write_once().await;
            if is_last {
                return;
            }
            if !self.waiting().is_empty() {
                self.news.notify_one();
            }
        }
    }

    async fn write_once(&self) {
        let attempts = take(&mut self.waiting());
        if !attempts.is_empty() {
            let kept = self.keeper.keep(attempts.clone(), self.most).await;
            self.settle(attempts, kept);
        }
    }

    fn settle(&self, attempts: Vec<Attempt>, kept: Result<(), Failed>) {
        match kept {
            Ok(()) => self.keeping.works(),
            Err(err) => {
                self.keeping.begin(&err, "they stay in memory, within its limit", 0);
                put_back(&mut self.waiting(), attempts);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, LruCache<String, Attempt>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(waiting: &mut LruCache<String, Attempt>, newer: Attempt) {
    match waiting.get_mut(&newer.id) {
        Some(older) => {
            let (first_at, times) = (older.first_at, older.times + newer.times);
            *older = Attempt { first_at, times, ..newer };
        }
        None => {
            waiting.insert(newer.id.clone(), newer);
        }
    }
}

/// The oldest ones.
fn take(waiting: &mut LruCache<String, Attempt>) -> Vec<Attempt> {
    let oldest = std::iter::from_fn(|| waiting.remove_lru());
    oldest.take(AT_ONCE).map(|(_, attempt)| attempt).collect()
}

/// They are older than all that were noted since.
fn put_back(waiting: &mut LruCache<String, Attempt>, attempts: Vec<Attempt>) {
    let empty = LruCache::new(waiting.capacity());
    let newer = std::mem::replace(waiting, empty);
    attempts.into_iter().for_each(|attempt| add(waiting, attempt));
    newer.into_iter().for_each(|(_, attempt)| add(waiting, attempt));
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::task::JoinHandle;

    use super::super::directory::Asking;
    use super::*;

    /// Fails or panics as configured, and then keeps.
    #[derive(Clone, Default)]
    struct Table(Arc<Mutex<(VecDeque<Trouble>, Vec<Attempt>)>>);

    enum Trouble {
        Failure,
        Panic,
    }

    impl Keeper for Table {
        fn keep(&self, attempts: Vec<Attempt>, _: usize) -> Asking<()> {
            let mut table = self.0.lock().unwrap();
            let kept = match table.0.pop_front() {
                Some(Trouble::Panic) => {
                    drop(table);
                    panic!("a fault of the keeper")
                }
                Some(Trouble::Failure) => Err(Failed::Unasked("it is away".into())),
                None => {
                    table.1.extend(attempts);
                    Ok(())
                }
            };
            Box::pin(std::future::ready(kept))
        }
    }

    impl Table {
        /// Id, times and reason of each row.
        fn rows(&self) -> Vec<(String, u64, String)> {
            let rows = self.0.lock().unwrap().1.clone();
            rows.into_iter().map(|row| (row.id, row.times, row.reason)).collect()
        }

        fn troubles(&self, troubles: impl IntoIterator<Item = Trouble>) {
            self.0.lock().unwrap().0.extend(troubles);
        }
    }

    fn note(unknown: &Unknown, id: &str, denied: &Denied) {
        unknown.note(
            &ClientId::try_from(id).unwrap(),
            std::net::SocketAddr::from(([127, 0, 0, 1], 7)).into(),
            denied,
        );
    }

    fn row(id: &str, times: u64, reason: &str) -> (String, u64, String) {
        (id.into(), times, reason.into())
    }

    /// Its work, which is restarted after a fault.
    fn run(unknown: &Unknown) -> JoinHandle<()> {
        let notes = unknown.0.clone().unwrap();
        tokio::spawn(async move {
            loop {
                let notes = Arc::clone(&notes);
                if tokio::spawn(async move { notes.write().await }).await.is_ok() {
                    return;
                }
            }
        })
    }

    async fn seconds(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted_and_written_once_a_second() {
        let table = Table::default();
        let unknown = Unknown::kept_by(table.clone(), 10);
        let _child = run(&unknown);
        note(&unknown, "a", &Denied::Unknown);
        note(&unknown, "b", &Denied::Expired { at: String::new() });
        note(&unknown, "a", &Denied::Disabled);
        note(&unknown, "d", &Denied::Elsewhere);
        note(&unknown, "c", &Denied::Unavailable("the store is away".into()));
        assert!(table.rows().is_empty());
        seconds(2).await;
        assert_eq!(table.rows(), [row("b", 1, "expired"), row("a", 2, "disabled"), row("d", 1, "elsewhere")]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_newest_ids_are_kept_through_a_failure_too() {
        let table = Table::default();
        let unknown = Unknown::kept_by(table.clone(), 2);
        let _child = run(&unknown);
        table.troubles([Trouble::Failure]);
        ["a", "b", "c", "b"].iter().for_each(|id| note(&unknown, id, &Denied::Unknown));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        note(&unknown, "d", &Denied::Unknown);
        seconds(2).await;
        assert_eq!(table.rows(), [row("b", 2, "unknown"), row("d", 1, "unknown")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_only_its_own_round() {
        let table = Table::default();
        let unknown = Unknown::kept_by(table.clone(), 10);
        let _child = run(&unknown);
        table.troubles([Trouble::Panic]);
        note(&unknown, "a", &Denied::Unknown);
        seconds(2).await;
        note(&unknown, "b", &Denied::Unknown);
        seconds(2).await;
        assert_eq!(table.rows(), [row("b", 1, "unknown")]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_ids_are_written_immediately_and_a_failure_does_not_delay_the_end() {
        let table = Table::default();
        let unknown = Unknown::kept_by(table.clone(), 10);
        let child = run(&unknown);
        let start = tokio::time::Instant::now();
        note(&unknown, "a", &Denied::Unknown);
        unknown.finish();
        child.await.unwrap();
        assert_eq!(table.rows(), [row("a", 1, "unknown")]);
        let unknown = Unknown::kept_by(table.clone(), 10);
        let child = run(&unknown);
        table.troubles([Trouble::Failure]);
        note(&unknown, "b", &Denied::Unknown);
        unknown.finish();
        child.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_none() {
        let table = Table::default();
        for unknown in [Unknown::kept_by(table.clone(), 0), Unknown::none()] {
            note(&unknown, "a", &Denied::Unknown);
            unknown.finish();
            assert!(unknown.work().is_none());
        }
        assert!(table.rows().is_empty());
    }
}
