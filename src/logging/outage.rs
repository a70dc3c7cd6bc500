//! Outages of something that the server depends on: one line when an outage begins and one when it ends, for any number
//! of attempts in between.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{error, info};

/// Minimum time between lines about an outage, so that a resource that fails and works in turn does not flood the log.
const CALM: Duration = Duration::from_secs(5);

/// A resource that may fail.
#[derive(Debug)]
pub struct Outage {
    name: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    present: Option<Present>,
    /// The end of the last outage.
    over: Option<Instant>,
    /// Rejections since the last reported end.
    refused: u64,
}

#[derive(Debug)]
struct Present {
    since: Instant,
    cause: String,
    said: Option<Instant>,
}

impl Outage {
    /// A working resource with the `name` that the log uses.
    pub fn none(name: impl Into<String>) -> Self {
        Self { name: name.into(), state: Mutex::default() }
    }

    /// Records a failure with its `cause` and the number of `refused` requests; `consequence` describes the effect.
    /// Logs it if it is new.
    pub fn note(&self, cause: &impl Display, consequence: &str, refused: u64) {
        if self.state().note(cause.to_string(), refused, Instant::now()) {
            error!("{} fails: {cause}. Until it works again, {consequence}", self.name);
        }
    }

    /// The same for alternating causes: only the first cause is logged.
    pub fn begin(&self, cause: &impl Display, consequence: &str, refused: u64) {
        let first = self.state().present.as_ref().map(|present| present.cause.clone());
        self.note(&first.unwrap_or_else(|| cause.to_string()), consequence, refused);
    }

    /// Records a success. Logs the end of an outage.
    pub fn works(&self) {
        if let Some((after, refused)) = self.state().end(Instant::now()) {
            info!("{} works again after={:.1}s refused={refused}", self.name, after.as_secs_f32());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether to log it. A new outage shortly after the last one is logged only if it lasts.
    fn note(&mut self, cause: String, refused: u64, now: Instant) -> bool {
        let is_calm = |since: Option<Instant>| since.is_none_or(|since| now.duration_since(since) >= CALM);
        self.refused += refused;
        let over = self.over;
        let present =
            self.present.get_or_insert_with(|| Present { since: now, cause: cause.clone(), said: None });
        let is_news = match present.said {
            None => is_calm(over) || is_calm(Some(present.since)),
            said => cause != present.cause && is_calm(said),
        };
        if is_news {
            *present = Present { since: present.since, cause, said: Some(now) };
        }
        is_news
    }

    /// The duration and the number of rejections, if a logged outage has ended.
    fn end(&mut self, now: Instant) -> Option<(Duration, u64)> {
        let Present { since, said, .. } = self.present.take()?;
        self.over = Some(now);
        said.map(|_| (now.duration_since(since), std::mem::take(&mut self.refused)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_logged_once_and_when_it_is_over() {
        let (mut state, start) = (State::default(), Instant::now());
        assert_eq!(state.end(start), None);
        assert!(state.note("full".into(), 1, start));
        assert!(!state.note("full".into(), 2, start + CALM));
        assert_eq!(state.end(start + 2 * CALM), Some((2 * CALM, 3)));
        assert_eq!(state.end(start + 2 * CALM), None);
        assert!(state.note("full".into(), 1, start + 3 * CALM));
        assert_eq!(state.end(start + 3 * CALM), Some((Duration::ZERO, 1)));
    }

    #[test]
    fn alternating_failures_are_logged_once_and_again_if_they_last() {
        let (mut state, start) = (State::default(), Instant::now());
        assert!(state.note("full".into(), 1, start));
        assert!(state.end(start).is_some());
        for _ in 0..10 {
            assert!(!state.note("full".into(), 1, start + CALM / 2));
            assert_eq!(state.end(start + CALM / 2), None);
        }
        assert!(!state.note("full".into(), 1, start + CALM));
        assert!(state.note("full".into(), 1, start + 2 * CALM));
        assert_eq!(state.end(start + 2 * CALM), Some((CALM, 12)));
    }

    #[test]
    fn another_cause_is_logged_after_a_while() {
        let (mut state, start) = (State::default(), Instant::now());
        assert!(state.note("full".into(), 1, start));
        assert!(!state.note("gone".into(), 1, start + CALM / 2));
        assert!(state.note("gone".into(), 1, start + CALM));
        assert!(!state.note("gone".into(), 1, start + 3 * CALM));
    }

    #[test]
    fn causes_that_take_turns_are_one_outage() {
        let outage = Outage::none("the look-up of ids");
        outage.begin(&"refused", "", 1);
        outage.begin(&"no answer", "", 1);
        let mut state = outage.state();
        assert_eq!(state.present.as_ref().map(|present| present.cause.as_str()), Some("refused"));
        assert_eq!(state.end(Instant::now()).map(|(_, refused)| refused), Some(2));
    }
}
