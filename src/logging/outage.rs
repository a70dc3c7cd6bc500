//! Something that the server depends on is out of order: said once when it begins, once when it is over, however often it is
//! tried meanwhile.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{error, info};

/// So long without a failure, and it is over: something that works and fails in turn does not flood the log.
const CALM: Duration = Duration::from_secs(2);

/// One thing that may be out of order.
#[derive(Debug)]
pub struct Outage {
    name: String,
    present: Mutex<Option<Present>>,
}

#[derive(Debug)]
struct Present {
    first: Instant,
    last: Instant,
    /// Whether it has worked since.
    works: bool,
    cause: String,
    refused: u64,
}

impl Outage {
    /// Nothing is wrong with `name`, as the log calls it.
    pub fn none(name: impl Into<String>) -> Self {
        Self { name: name.into(), present: Mutex::new(None) }
    }

    /// It is out of order for this `cause`, which costs `refused` something; `consequence` is what that means. Logged if
    /// it is news.
    pub fn note(&self, cause: &impl Display, consequence: &str, refused: u64) {
        if self.is_news(cause.to_string(), refused, Instant::now()) {
            error!("{} fails: {cause}. Until it works again, {consequence}", self.name);
        }
    }

    /// It works.
    pub fn works(&self) {
        if let Some(present) = &mut *self.present() {
            present.works = true;
        }
        self.look();
    }

    /// Says so if it is over.
    pub fn look(&self) {
        if let Some((after, refused)) = self.end(Instant::now()) {
            info!("{} works again after={:.1}s refused={refused}", self.name, after.as_secs_f32());
        }
    }

    fn is_news(&self, cause: String, refused: u64, now: Instant) -> bool {
        let mut present = self.present();
        let before = present.take();
        let is_news = before.as_ref().is_none_or(|before| before.cause != cause);
        let (first, so_far) = before.map_or((now, 0), |before| (before.first, before.refused));
        *present = Some(Present { first, last: now, works: false, cause, refused: so_far + refused });
        is_news
    }

    fn end(&self, now: Instant) -> Option<(Duration, u64)> {
        let is_over = |present: &mut Present| present.works && now.duration_since(present.last) >= CALM;
        let over = self.present().take_if(is_over)?;
        Some((over.last.duration_since(over.first), over.refused))
    }

    fn present(&self) -> MutexGuard<'_, Option<Present>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_news_once_and_again_for_another_cause_and_over_after_a_calm() {
        let outage = Outage::none("the store");
        let start = Instant::now();
        let at = |tenths: u32| start + CALM * tenths / 10;
        assert_eq!(outage.end(at(0)), None);
        assert!(outage.is_news("full".into(), 1, at(0)));
        assert!(!outage.is_news("full".into(), 2, at(5)));
        outage.works();
        assert_eq!(outage.end(at(14)), None);
        assert!(outage.is_news("gone".into(), 3, at(14)));
        assert_eq!(outage.end(at(40)), None, "it has not worked since");
        outage.works();
        assert_eq!(outage.end(at(40)), Some((at(14) - start, 6)));
        assert_eq!(outage.end(at(90)), None);
        assert!(outage.is_news("full".into(), 1, at(90)));
    }
}
