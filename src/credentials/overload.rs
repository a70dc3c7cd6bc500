//! Look-ups without a turn, in the log: the first is logged immediately, the others are summed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::warn;

/// The period of a sum.
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Overload(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The time of the last line.
    said: Option<Instant>,
    rejected: u64,
}

impl Overload {
    /// One more was rejected.
    pub(super) fn note(&self) {
        self.say(|state, now| state.note(now));
    }

    /// Logs a sum that is due. Called with each answered look-up.
    pub(super) fn look(&self) {
        self.say(State::due);
    }

    fn say(&self, rejected: impl FnOnce(&mut State, Instant) -> Option<u64>) {
        let rejected = rejected(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        if let Some(rejected) = rejected {
            warn!(
                "the look-up of ids is overloaded rejected={rejected}: there are more look-ups than the database can \
                 answer; ids that are not cached wait for a turn, and are rejected when `timeout` is over"
            );
        }
    }
}

impl State {
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.rejected += 1;
        self.due(now)
    }

    fn due(&mut self, now: Instant) -> Option<u64> {
        let is_due = self.said.is_none_or(|said| now.duration_since(said) >= WINDOW);
        if self.rejected == 0 || !is_due {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.rejected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_immediately_and_the_others_are_summed() {
        let (mut state, start) = (State::default(), Instant::now());
        assert_eq!(state.due(start), None);
        assert_eq!(state.note(start), Some(1));
        assert_eq!((state.note(start), state.note(start + WINDOW / 2)), (None, None));
        assert_eq!(state.due(start + WINDOW / 2), None);
        assert_eq!(state.due(start + WINDOW), Some(2));
        assert_eq!(state.due(start + 2 * WINDOW), None);
        assert_eq!(state.note(start + 3 * WINDOW), Some(1));
    }
}
