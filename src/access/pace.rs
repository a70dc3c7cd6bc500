//! The pace of one session: bytes and messages per second. A session beyond its pace delays its next read; nothing is
//! rejected and nothing is lost.
//!
//! Times are nanoseconds since the start of the thread. After silence, one second's worth may come at once. A single
//! read may exceed the pace by any amount: the next read waits until that is made up for.

use std::num::NonZeroU32;

const SECOND: u64 = 1_000_000_000;

/// The limits of a session. `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaceLimits {
    /// Bytes per second.
    pub bytes: Option<NonZeroU32>,
    /// Messages per second.
    pub messages: Option<NonZeroU32>,
}

/// What a session has used. It stays valid when the limits change: the time that is owed remains, within a second.
/// Without a limit, nothing is owed, and a limit set later starts afresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    bytes: PaidUntil,
    messages: PaidUntil,
}

impl Pace {
    /// Counts what a read brought.
    pub fn spend(&mut self, limits: &PaceLimits, now_ns: u64, messages: u32, bytes: u32) {
        self.bytes.spend(limits.bytes, now_ns, bytes);
        self.messages.spend(limits.messages, now_ns, messages);
    }

    /// When the next read may take place. `None` means now.
    pub fn ready_at(&self, limits: &PaceLimits, now_ns: u64) -> Option<u64> {
        let bytes = self.bytes.ready_at(limits.bytes);
        let ready = bytes.max(self.messages.ready_at(limits.messages));
        (ready > now_ns).then_some(ready)
    }
}

/// The time until which the units used so far last: a whole second, and a part of it counted in units. So no time is
/// rounded, whatever the rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PaidUntil {
    second: u32,
    units: u32,
}

impl PaidUntil {
    fn spend(&mut self, limit: Option<NonZeroU32>, now_ns: u64, units: u32) {
        let Some(per_second) = limit else {
            *self = Self::default();
            return;
        };
        let from = self.within(per_second).max(Self::at(now_ns, per_second));
        let units = u64::from(from.units) + u64::from(units);
        let rate = u64::from(per_second.get());
        self.second = from.second.saturating_add(saturated(units / rate));
        self.units = saturated(units % rate);
    }

    /// The units of a former, higher rate may make more than a second at this one.
    fn within(self, per_second: NonZeroU32) -> Self {
        Self { units: self.units.min(per_second.get() - 1), ..self }
    }

    /// The last time with a whole number of units.
    fn at(now_ns: u64, per_second: NonZeroU32) -> Self {
        let units = (now_ns % SECOND) * u64::from(per_second.get()) / SECOND;
        Self { second: saturated(now_ns / SECOND), units: saturated(units) }
    }

    /// The first nanosecond with room for one more unit in the second's worth that may come at once.
    fn ready_at(self, limit: Option<NonZeroU32>) -> u64 {
        let Some(per_second) = limit else { return 0 };
        let units = u64::from(self.within(per_second).units) + 1;
        let part = (units * SECOND).div_ceil(u64::from(per_second.get()));
        (u64::from(self.second) * SECOND + part).saturating_sub(SECOND)
    }

    /// For the order of times at the same rate.
    fn max(self, other: Self) -> Self {
        if (self.second, self.units) < (other.second, other.units) { other } else { self }
    }
}

fn saturated(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const _: () = assert!(size_of::<Pace>() <= 16);

    fn bytes(per_second: u32) -> PaceLimits {
        PaceLimits { bytes: NonZeroU32::new(per_second), messages: None }
    }

    fn messages(per_second: u32) -> PaceLimits {
        PaceLimits { bytes: None, messages: NonZeroU32::new(per_second) }
    }

    /// Reads `size` units each time, as early as possible, from `start` on. Returns how many were read before `end`.
    fn read_until(limits: &PaceLimits, pace: &mut Pace, size: u32, (start, end): (u64, u64)) -> u64 {
        let (mut now, mut read) = (start, 0);
        loop {
            now = pace.ready_at(limits, now).unwrap_or(now);
            if now >= end {
                return read;
            }
            pace.spend(limits, now, size, size);
            read += u64::from(size);
        }
    }

    #[test]
    fn the_rate_is_exact_over_hours() {
        for (rate, size) in [(1, 1), (3, 1), (7, 1), (7, 5), (1000, 17), (65_537, 1009)] {
            for limits in [messages(rate), bytes(rate)] {
                const SECONDS: u64 = 10 * 3600;
                let read =
                    read_until(&limits, &mut Pace::default(), size, (5 * SECOND, (5 + SECONDS) * SECOND));
                // The first second's worth comes at once; the first unit after the end is not counted.
                let exact = u64::from(rate) * (SECONDS + 1) - 1;
                assert!((exact..exact + u64::from(size)).contains(&read), "{read} at {rate} per second");
            }
        }
    }

    #[test]
    fn one_seconds_worth_comes_at_once_after_silence() {
        let (limits, mut pace, now) = (messages(10), Pace::default(), 777_777_777_777);
        assert_eq!(read_until(&limits, &mut pace, 1, (now, now + 1)), 10);
        let later = now + 3600 * SECOND;
        assert_eq!(read_until(&limits, &mut pace, 1, (later, later + 1)), 10);
    }

    #[test]
    fn a_large_read_is_made_up_for() {
        let (limits, mut pace) = (bytes(1000), Pace::default());
        pace.spend(&limits, SECOND, 1, 64_000);
        // Up to one byte of the 64 seconds is part of the second's worth.
        assert_eq!(pace.ready_at(&limits, SECOND), Some(64 * SECOND + SECOND / 1000));
        assert_eq!(pace.ready_at(&limits, 64 * SECOND + SECOND / 1000), None);
    }

    #[test]
    fn the_slower_of_both_limits_decides() {
        let limits = PaceLimits { bytes: NonZeroU32::new(100), messages: NonZeroU32::new(10) };
        let [mut large, mut small] = <[Pace; 2]>::default();
        large.spend(&limits, 0, 1, 200);
        small.spend(&limits, 0, 10, 1);
        assert_eq!(large.ready_at(&limits, 0), Some(SECOND + SECOND / 100));
        assert_eq!(small.ready_at(&limits, 0), Some(SECOND / 10));
    }

    #[test]
    fn a_change_keeps_the_time_owed_and_no_limit_ends_it() {
        let (fast, slow, mut pace) = (bytes(1_000_000), bytes(10), Pace::default());
        pace.spend(&fast, 0, 1, 5_500_000);
        assert_eq!(pace.ready_at(&fast, 0), Some(4 * SECOND + SECOND / 2 + 1000));
        let still = pace.ready_at(&slow, 0).unwrap();
        assert!((4 * SECOND..=6 * SECOND).contains(&still), "{still}");
        assert_eq!(pace.ready_at(&PaceLimits::default(), 0), None);
        pace.spend(&PaceLimits::default(), 0, 1, 1);
        assert_eq!(pace, Pace::default());
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let (limits, mut pace) = (bytes(1), Pace::default());
        (0..3).for_each(|_| pace.spend(&limits, u64::MAX, u32::MAX, u32::MAX));
        assert!(pace.ready_at(&limits, 0).is_some());
        let (limits, mut pace) = (bytes(u32::MAX), Pace::default());
        (0..3).for_each(|_| pace.spend(&limits, SECOND, u32::MAX, u32::MAX));
        assert_eq!(pace.ready_at(&limits, 0), Some(3 * SECOND + 1));
    }

    proptest! {
        /// From any read on, at most one second's worth comes on top of the rate, and what one read brings at once.
        #[test]
        fn the_rate_is_kept_from_any_time_on(
            rate in 1..5000u32,
            reads in prop::collection::vec((0..3_000_000_000u64, 1..300u32), 1..60),
        ) {
            let (limits, mut pace, mut now) = (bytes(rate), Pace::default(), 0);
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for (pause, size) in reads {
                now += pause;
                now = pace.ready_at(&limits, now).unwrap_or(now);
                pace.spend(&limits, now, 1, size);
                taken.push((now, size.into()));
            }
            for from in 0..taken.len() {
                let mut sum = 0;
                for (at, size) in &taken[from..] {
                    let earned = u128::from(at - taken[from].0) * u128::from(rate);
                    prop_assert!(sum * u128::from(SECOND) < earned + u128::from(rate) * u128::from(SECOND));
                    sum += u128::from(*size);
                }
            }
        }
    }
}
