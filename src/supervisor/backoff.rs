//! The time between the end of a child and its restart. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// The delay of the second restart; each further one doubles it.
const FIRST: Duration = Duration::from_millis(10);

/// After this long without an end, the next restart is immediate again.
pub(super) const QUIET: Duration = Duration::from_secs(60);

/// The delays of one child.
#[derive(Debug)]
pub(super) struct Backoff {
    max: Duration,
    next: Duration,
    restarted: Option<Instant>,
}

impl Backoff {
    pub(super) const fn new(max: Duration) -> Self {
        Self { max, next: Duration::ZERO, restarted: None }
    }

    /// The child ended at `now`. Returns the delay of its restart.
    pub(super) fn delay(&mut self, now: Instant) -> Duration {
        if self.restarted.is_some_and(|then| now.saturating_duration_since(then) >= QUIET) {
            self.next = Duration::ZERO;
        }
        let delay = self.next;
        self.next = (delay * 2).clamp(FIRST.min(self.max), self.max);
        self.restarted = Some(now + delay);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(backoff: &mut Backoff, now: Instant, count: usize) -> Vec<u64> {
        (0..count).map(|_| u64::try_from(backoff.delay(now).as_millis()).unwrap()).collect()
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_others_wait_twice_as_long_each_up_to_the_bound() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        let delays = delays(&mut backoff, Instant::now(), 10);
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn a_bound_below_the_first_delay_holds_too() {
        let mut backoff = Backoff::new(Duration::from_millis(2));
        assert_eq!(delays(&mut backoff, Instant::now(), 3), [0, 2, 2]);
    }

    #[test]
    fn a_quiet_minute_after_a_restart_resets_the_delay() {
        let (mut backoff, start) = (Backoff::new(Duration::from_secs(1)), Instant::now());
        assert_eq!(delays(&mut backoff, start, 3), [0, 10, 20]);
        // The third restart was 20 ms after the end.
        let restarted = start + Duration::from_millis(20);
        assert_eq!(delays(&mut backoff, restarted + QUIET - Duration::from_millis(1), 1), [40]);
        let restarted = restarted + QUIET + Duration::from_millis(39);
        assert_eq!(delays(&mut backoff, restarted + QUIET, 2), [0, 10]);
    }
}
