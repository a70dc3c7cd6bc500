//! Something that the server depends on is out of order: said once when it begins, once when it is over, however often it is
//! tried meanwhile.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{error, info};

/// One thing that may be out of order.
#[derive(Debug)]
pub struct Outage {
    name: &'static str,
    present: Mutex<Option<Present>>,
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
        Self { name, present: Mutex::new(None) }
    }

    /// It is out of order for this `cause`, which costs `refused` something; `consequence` is what that means. Logged if
    /// it is news.
    pub fn note(&self, cause: &impl Display, consequence: &str, refused: u64) {
        if self.is_news(cause.to_string(), refused) {
            error!("{} fails: {cause}. Until it works again, {consequence}", self.name);
        }
    }

    /// It works. Logged if that is news.
    pub fn over(&self) {
        if let Some((after, refused)) = self.end() {
            info!("{} works again after={:.1}s refused={refused}", self.name, after.as_secs_f32());
        }
    }

    /// Whether it is out of order.
    pub fn is_present(&self) -> bool {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn is_news(&self, cause: String, refused: u64) -> bool {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *present {
            Some(present) => {
                present.refused += refused;
                let is_news = present.cause != cause;
                present.cause = cause;
                is_news
            }
            None => {
                *present = Some(Present { since: Instant::now(), cause, refused });
                true
            }
        }
    }

    fn end(&self) -> Option<(Duration, u64)> {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((present.since.elapsed(), present.refused))
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
}
