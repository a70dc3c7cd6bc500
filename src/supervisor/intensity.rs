//! The restart limit. Pure: the time is an argument.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use jiff::fmt::friendly::SpanPrinter;

/// OTP's restart intensity: more than `max_restarts` within the window are a failure of the supervisor.
#[derive(Debug)]
pub struct Intensity {
    max_restarts: usize,
    within: Duration,
    restarts: VecDeque<Instant>,
}

impl Intensity {
    /// An intensity without restarts so far.
    pub const fn new(max_restarts: usize, within: Duration) -> Self {
        Self { max_restarts, within, restarts: VecDeque::new() }
    }

    /// Records a restart at `now`. Returns the number of restarts in the window, or an error if they exceed the limit.
    pub fn note(&mut self, now: Instant) -> Result<usize, TooMany> {
        while self.restarts.front().is_some_and(|&then| now.duration_since(then) > self.within) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= self.max_restarts {
            return Err(TooMany { max_restarts: self.max_restarts, within: self.within });
        }
        self.restarts.push_back(now);
        Ok(self.restarts.len())
    }
}

impl fmt::Display for Intensity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.max_restarts, SpanPrinter::new().unsigned_duration_to_string(&self.within))
    }
}

/// The restarts exceeded the intensity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("restart limit exceeded ({max_restarts} in {})", SpanPrinter::new().unsigned_duration_to_string(within))]
pub struct TooMany {
    max_restarts: usize,
    within: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_one_restart_too_many_fails() {
        let mut intensity = Intensity::new(2, Duration::from_secs(5));
        let start = Instant::now();
        assert_eq!(intensity.note(start), Ok(1));
        assert_eq!(intensity.note(start), Ok(2));
        assert!(intensity.note(start + Duration::from_secs(5)).is_err());
        assert_eq!(intensity.note(start + Duration::from_millis(5001)), Ok(1));
    }

    #[test]
    fn none_allowed_means_none() {
        assert!(Intensity::new(0, Duration::from_secs(5)).note(Instant::now()).is_err());
    }

    proptest! {
        #[test]
        fn it_counts_like_the_definition(max in 0..6usize, within in 1..50u64, gaps in prop::collection::vec(0..20u64, 0..60)) {
            let mut intensity = Intensity::new(max, Duration::from_secs(within));
            let start = Instant::now();
            let (mut now, mut granted) = (0, Vec::<u64>::new());
            for gap in gaps {
                now += gap;
                let in_window = granted.iter().filter(|&&then| now - then <= within).count();
                let noted = intensity.note(start + Duration::from_secs(now));
                prop_assert_eq!(noted.ok(), (in_window < max).then_some(in_window + 1));
                if in_window < max {
                    granted.push(now);
                }
            }
        }
    }
}
