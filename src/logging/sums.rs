//! Log lines for events that strangers can cause at will: the first event of a reason is logged immediately, the others
//! as one line per reason and window, for any number of events.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use log::Level;

use super::top::Top;

/// Sums up events by reason, with the busiest source of each. The reasons are a closed list, so memory is bounded.
#[derive(Debug)]
pub struct Sums<S>(Mutex<Vec<Slot<S>>>);

/// A reason whose first event was logged, and the events since then.
#[derive(Debug)]
struct Slot<S> {
    reason: &'static str,
    level: Level,
    since: Instant,
    more: u64,
    sources: Top<S>,
}

/// A sum of events, as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The level of these events.
    pub level: Level,
    /// `more within 10s: full=3 busiest=192.0.2.7 busiest_count=2`
    pub text: String,
}

impl<S> Default for Sums<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: PartialEq + Display> Sums<S> {
    /// Whether to log this event by itself: it is the first of its reason since the last [`Self::take`].
    pub fn is_first(&self, reason: &'static str, level: Level, source: S, now: Instant) -> bool {
        let mut slots = self.slots();
        if let Some(slot) = slots.iter_mut().find(|slot| slot.reason == reason) {
            slot.more += 1;
            slot.sources.add(source);
            return false;
        }
        slots.push(Slot { reason, level, since: now, more: 0, sources: Top::default() });
        true
    }

    /// Ends the window. Returns the events that were not logged by themselves.
    pub fn take(&self, now: Instant) -> Vec<Sum> {
        let slots = std::mem::take(&mut *self.slots());
        slots.into_iter().filter_map(|slot| slot.sum(now)).collect()
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot<S>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: PartialEq + Display> Slot<S> {
    fn sum(self, now: Instant) -> Option<Sum> {
        let Self { reason, level, since, more, sources } = self;
        let (busiest, count) = sources.busiest()?;
        let seconds = now.duration_since(since).as_secs_f32().ceil();
        let text = format!("more within {seconds}s: {reason}={more} busiest={busiest} busiest_count={count}");
        Some(Sum { level, text })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_of_a_reason_is_logged_and_the_rest_is_one_line_for_each() {
        let (sums, start) = (Sums::default(), Instant::now());
        assert!(sums.is_first("full", Level::Warn, 1, start));
        assert!(sums.is_first("denied", Level::Info, 1, start));
        assert!(!sums.is_first("full", Level::Warn, 2, start));
        assert!(!sums.is_first("full", Level::Warn, 3, start));
        assert!(!sums.is_first("full", Level::Warn, 3, start));
        assert!(!sums.is_first("denied", Level::Info, 1, start));
        let texts = [
            (Level::Warn, "more within 10s: full=3 busiest=3 busiest_count=2"),
            (Level::Info, "more within 10s: denied=1 busiest=1 busiest_count=1"),
        ];
        let expected = texts.map(|(level, text)| Sum { level, text: text.into() });
        assert_eq!(sums.take(start + Duration::from_millis(9500)), expected);
    }

    #[test]
    fn after_a_window_the_first_is_logged_again_and_a_single_one_is_not_summed() {
        let (sums, start) = (Sums::default(), Instant::now());
        assert!(sums.is_first("full", Level::Warn, 1, start));
        assert_eq!(sums.take(start), []);
        assert!(sums.is_first("full", Level::Warn, 1, start));
    }
}
