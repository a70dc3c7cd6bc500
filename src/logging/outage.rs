//! Something that the server depends on is out of order: said once when it begins, once when it is over, however often it is
//! tried meanwhile.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{error, info};

/// One thing that may be out of order.
#[derive(Debug)]
pub struct Outage {
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    present: Option<Present>,
    changed: Option<Instant>,
}

#[derive(Debug)]
struct Present {
    since: Instant,
    cause: String,
    refused: u64,
}

impl Outage {
    /// Nothing is wrong with `name`, as the log calls it.
    pub const fn none(name: &'static str) -> Self {
        Self { name, state: Mutex::new(State { present: None, changed: None }) }
    }

    /// It is out of order for this `cause`, which costs `refused` something; `consequence` is what that means. Logged if
    /// it is news.
    pub fn note(&self, cause: &impl Display, consequence: &str, refused: u64) {
        if self.is_news(cause.to_string(), refused) {
            error!("{} fails: {cause}. Until it works again, {consequence}", self.name);
        }
    }

    /// The same where causes take turns: what comes after the first is no news.
    pub fn begin(&self, cause: &impl Display, consequence: &str, refused: u64) {
        let cause = self.first_cause().unwrap_or_else(|| cause.to_string());
        self.note(&cause, consequence, refused);
    }

    /// Whether something that began at `started` began before this was last found out of order, or in order again. What
    /// came of it says nothing about how things are now.
    pub fn is_newer_than(&self, started: Instant) -> bool {
        self.state().changed.is_some_and(|changed| started < changed)
    }

    /// It works. Logged if that is news.
    pub fn over(&self) {
        if let Some((after, refused)) = self.end() {
            info!("{} works again after={:.1}s refused={refused}", self.name, after.as_secs_f32());
        }
    }

    /// Whether it is out of order.
    pub fn is_present(&self) -> bool {
        self.state().present.is_some()
    }

    fn is_news(&self, cause: String, refused: u64) -> bool {
        let mut state = self.state();
        match &mut state.present {
            Some(present) => {
                present.refused += refused;
                let is_news = present.cause != cause;
                present.cause = cause;
                is_news
            }
            None => {
                let since = Instant::now();
                *state = State { present: Some(Present { since, cause, refused }), changed: Some(since) };
                true
            }
        }
    }

    fn end(&self) -> Option<(Duration, u64)> {
        let mut state = self.state();
        let present = state.present.take()?;
        state.changed = Some(Instant::now());
        Some((present.since.elapsed(), present.refused))
    }

    fn first_cause(&self) -> Option<String> {
        self.state().present.as_ref().map(|present| present.cause.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_news_once_and_again_for_another_cause() {
        let outage = Outage::none("the store");
        assert!(outage.end().is_none());
        assert!(outage.is_news("full".into(), 1));
        assert!(!outage.is_news("full".into(), 2));
        assert!(outage.is_news("gone".into(), 3));
        assert!(outage.is_present());
        assert_eq!(outage.end().map(|(_, refused)| refused), Some(6));
        assert!(outage.end().is_none() && !outage.is_present());
        assert!(outage.is_news("full".into(), 1));
    }

    #[test]
    fn causes_that_take_turns_are_one_outage() {
        let outage = Outage::none("the look-up of ids");
        outage.begin(&"refused", "", 1);
        outage.begin(&"no answer", "", 1);
        assert_eq!(outage.first_cause().as_deref(), Some("refused"));
        assert_eq!(outage.end().map(|(_, refused)| refused), Some(2));
    }

    #[test]
    fn what_began_before_the_last_change_is_outdated() {
        let (outage, before) = (Outage::none("the look-up of ids"), Instant::now());
        assert!(!outage.is_newer_than(before));
        assert!(outage.is_news("gone".into(), 1));
        assert!(outage.is_newer_than(before) && !outage.is_newer_than(Instant::now()));
        let during = Instant::now();
        assert!(outage.end().is_some());
        assert!(outage.is_newer_than(during) && !outage.is_newer_than(Instant::now()));
    }
}
