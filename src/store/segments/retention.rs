//! Retention: removes the oldest segments, each as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use log::{info, warn};

use super::folder::{Folder, Segment};
use super::sealer::Unsealed;
use super::segment;
use crate::config;
use crate::database::{Error, beside, remove, sync_folder};

/// A clock that is ahead of where it should be by more than this was set.
const JUMP: Duration = Duration::from_secs(60);

/// How long nothing is removed by age after the clock jumped ahead: somebody may set it right again.
const DOUBT: Duration = Duration::from_secs(600);

/// Interval of looks at the folder if nothing is removed. With limits it is looked at each time, or after this pause for
/// each thousand segments: a list of many takes long, and one segment more or less is a small part of them.
const UNLIMITED: Duration = Duration::from_secs(10);
const PER_THOUSAND: Duration = Duration::from_millis(500);

/// Microseconds.
type Time = i64;

/// How much is kept. A clone is a handle to the same limits, which a reload changes.
#[derive(Clone)]
pub(super) struct Keep(Arc<Mutex<KeepUp>>);

/// The limits at one time.
#[derive(Clone, Copy)]
pub(super) struct KeepUp {
    /// See [`config::Store::max_age`].
    pub(super) max_age: Option<Duration>,
    /// See [`config::Store::max_size`], in bytes.
    pub(super) max_size: Option<u64>,
}

impl Keep {
    pub(super) fn new(settings: &config::Store) -> Self {
        Self(Arc::new(Mutex::new(KeepUp::of(settings))))
    }

    pub(super) fn now(&self) -> KeepUp {
        *self.lock()
    }

    pub(super) fn set(&self, settings: &config::Store) {
        *self.lock() = KeepUp::of(settings);
    }

    fn lock(&self) -> MutexGuard<'_, KeepUp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeepUp {
    const fn of(settings: &config::Store) -> Self {
        Self { max_age: settings.max_age, max_size: settings.max_size }
    }
}

pub(super) struct Retention {
    folder: Folder,
    unsealed: Unsealed,
    keep: Keep,
    clock: Clock,
    /// First and last time of sealed segments that were looked at, by first id.
    times: BTreeMap<i64, (Time, Time)>,
    /// Segments at the last look, and the first id behind each.
    known: BTreeMap<i64, i64>,
    /// Segments removed since the start.
    removed: u64,
    /// When the folder is looked at again.
    next: Instant,
}

/// Notices that the wall clock jumped ahead.
struct Clock {
    /// Both clocks at the same moment.
    set: (Instant, Time),
    doubted_until: Option<Instant>,
}

impl Clock {
    fn new(at: Instant, now: Time) -> Self {
        Self { set: (at, now), doubted_until: None }
    }

    /// Whether `now` can be believed.
    fn believes(&mut self, at: Instant, now: Time) -> bool {
        let expected = self.set.1.saturating_add(micros(at.saturating_duration_since(self.set.0)));
        if now.saturating_sub(expected) > micros(JUMP) {
            let ahead = Duration::from_micros(now.abs_diff(expected)).as_secs();
            warn!(
                target: super::TARGET,
                "the clock jumped ahead by {ahead}s: for {}s nothing is removed by max_age; set it right if it is wrong",
                DOUBT.as_secs()
            );
            self.doubted_until = Some(at + DOUBT);
        }
        self.set = (at, now);
        if self.doubted_until.is_some_and(|until| at >= until) {
            self.doubted_until = None;
        }
        self.doubted_until.is_none()
    }
}

fn micros(time: Duration) -> Time {
    Time::try_from(time.as_micros()).unwrap_or(Time::MAX)
}

/// The time from a look at the folder to the next one.
fn pause(is_limited: bool, segments: usize) -> Duration {
    let thousands = u32::try_from(segments / 1000).unwrap_or(u32::MAX);
    if is_limited { PER_THOUSAND.saturating_mul(thousands) } else { UNLIMITED }
}

impl Retention {
    pub(super) fn new(folder: Folder, unsealed: Unsealed, keep: Keep, now: Time) -> Self {
        let clock = Clock::new(Instant::now(), now);
        let (times, known) = (BTreeMap::new(), BTreeMap::new());
        let next = Instant::now();
        Self { folder, unsealed, keep, clock, times, known, removed: 0, next }
    }

    /// The age at which an open segment is closed, so that its messages do not become much older than `max_age`.
    pub(super) fn max_open(&self) -> Option<Time> {
        self.keep.now().max_age.map(|age| micros(age / 8))
    }

    /// Whether it is time for a list of the folder.
    pub(super) fn is_due(&self, at: Instant) -> bool {
        at >= self.next
    }

    /// Removes segments that are too old or too large together. The newest one is open, and never removed: its first
    /// message is of `open_since`.
    pub(super) fn step(
        &mut self,
        segments: Vec<Segment>,
        now: Time,
        open_since: Option<Time>,
    ) -> Result<(), Error> {
        let believes = self.clock.believes(Instant::now(), now);
        let KeepUp { max_age, max_size } = self.keep.now();
        let before = max_age.map(|age| now.saturating_sub(micros(age)));
        self.next = Instant::now() + pause(max_age.is_some() || max_size.is_some(), segments.len());
        self.miss(&segments);
        let mut total: u64 = segments.iter().map(|segment| segment.size).sum();
        let mut gone = 0;
        let mut why = "max_size";
        let mut closed = segments.split_last().map_or(&[][..], |(_, closed)| closed);
        while let [segment, later @ ..] = closed {
            let too_large = max_size.is_some_and(|most| total > most);
            let mut too_old = |before| believes && self.is_too_old(segment, later, open_since, (before, now));
            if !too_large && !before.is_some_and(&mut too_old) {
                break;
            }
            if self.unsealed.contains(&segment.path) {
                break;
            }
            if !too_large {
                why = "max_age";
            }
            self.remove(segment)?;
            total -= segment.size;
            (gone, closed) = (gone + 1, later);
        }
        self.note(&segments, gone, why)
    }

    fn note(&mut self, segments: &[Segment], gone: usize, why: &str) -> Result<(), Error> {
        let (Some(first), Some(next)) = (segments.first(), segments.get(gone)) else { return Ok(()) };
        if gone == 0 {
            return Ok(());
        }
        self.removed += gone as u64;
        let bytes: u64 = segments.iter().take(gone).map(|segment| segment.size).sum();
        let (from, to) = (first.first_id, next.first_id - 1);
        info!(
            target: super::TARGET,
            "removed segments={gone} messages={} ids={from}-{to} bytes={} reason={why} removed_since_start={}",
            to - from + 1,
            ByteSize(bytes),
            self.removed
        );
        sync_folder(self.folder.path()).map_err(|err| Error::unreadable(self.folder.path(), &err))
    }

    fn remove(&mut self, segment: &Segment) -> Result<(), Error> {
        remove(&segment.path)?;
        // Usually there is none.
        let _ = fs::remove_file(beside(&segment.path, "-shm"));
        self.known.remove(&segment.first_id);
        self.times.remove(&segment.first_id);
        Ok(())
    }

    /// A segment is lost, and that was said.
    pub(super) fn forget(&mut self, first_id: i64) {
        self.known.remove(&first_id);
    }

    /// Says which segments somebody else has removed.
    fn miss(&mut self, segments: &[Segment]) {
        let found: BTreeMap<i64, i64> = segments
            .iter()
            .zip(segments.iter().skip(1).map(|next| next.first_id).chain([i64::MAX]))
            .map(|(segment, next)| (segment.first_id, next))
            .collect();
        for (first_id, next) in self.known.iter().filter(|(first_id, _)| !found.contains_key(first_id)) {
            let path = self.folder.segment(*first_id);
            let last = if *next == i64::MAX { "the last".into() } else { (next - 1).to_string() };
            warn!(
                target: super::TARGET,
                "{} is no longer there, and nor are messages {first_id} to {last}: another program has moved or removed it",
                path.display()
            );
        }
        self.known = found;
    }

    /// Whether all messages of the oldest segment are from before this time. They were stored before those of each later segment: if
    /// the clock was ahead while the oldest was written, the later ones tell its age.
    fn is_too_old(
        &mut self,
        oldest: &Segment,
        later: &[Segment],
        open_since: Option<Time>,
        (before, now): (Time, Time),
    ) -> bool {
        let end = self.times(oldest).map(|(_, end)| end);
        if end.is_some_and(|end| end < before) {
            return true;
        }
        // A damaged one tells nothing itself.
        let starts = later.iter().map(|segment| self.times(segment).map(|(start, _)| start));
        end.is_none_or(|end| end > now) && starts.chain([open_since]).flatten().any(|start| start < before)
    }

    /// The times of the first and the last message of a sealed segment; `None` if there are none, or they cannot be read.
    fn times(&mut self, segment: &Segment) -> Option<(Time, Time)> {
        if let Some(times) = self.times.get(&segment.first_id) {
            return Some(*times);
        }
        if self.unsealed.contains(&segment.path) {
            return None;
        }
        let times = segment::times(&segment.path).ok()?;
        self.times.insert(segment.first_id, times);
        Some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_looked_at_less_often_without_limits_and_with_many_segments() {
        assert_eq!([0, 50_000].map(|segments| pause(false, segments)), [UNLIMITED; 2]);
        assert_eq!([0, 999].map(|segments| pause(true, segments)), [Duration::ZERO; 2]);
        assert_eq!(pause(true, 40_000), Duration::from_secs(20));
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_not_believed_for_a_while() {
        let start = Instant::now();
        let (second, minute) = (1_000_000, Duration::from_secs(60));
        let mut clock = Clock::new(start, 0);
        assert!(clock.believes(start + minute, 60 * second));
        // Set back, and a little ahead.
        assert!(clock.believes(start + minute, 0));
        assert!(clock.believes(start + minute, 59 * second));
        assert!(!clock.believes(start + minute, 3600 * second));
        assert!(!clock.believes(start + 2 * minute, 3660 * second));
        assert!(clock.believes(start + minute + DOUBT, 3600 * second + micros(DOUBT)));
    }
}
