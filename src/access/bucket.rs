//! A token bucket in integer arithmetic: a connection takes one token, a limit of N earns exactly N per second.
//!
//! Times are nanoseconds since any fixed start; a time before an earlier one counts as that one. Tokens are counted in
//! parts of a billion, so a rate in tokens per second is a rate in parts per nanosecond, and nothing is rounded.
//!
//! A connection that ends before any data may give its token back. Peers that connect and close could lift the limit
//! in that way, so a returned token is not simply added: it is kept as a credit, at most as many as are missing from
//! the bucket, and credits are used at an even pace of N per second. In every second, at most `N + burst` tokens and
//! `N` credits are used.

use std::num::NonZeroU32;

const TOKEN: i64 = 1_000_000_000;

/// A limit on the rate of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The rate, when more are requested.
    pub per_second: NonZeroU32,
    /// How many may come at once, beyond that pace, after a quiet time. With 0, all are evenly paced.
    pub burst: u32,
}

impl RateLimit {
    /// A limit of `per_second` connections, with `burst` more at once.
    pub const fn new(per_second: NonZeroU32, burst: u32) -> Self {
        Self { per_second, burst }
    }

    /// A full bucket: the burst, and the token of the next connection.
    fn full(self) -> i64 {
        (i64::from(self.burst) + 1) * TOKEN
    }

    /// The time to earn this much, rounded up.
    fn time_for(self, parts: i64) -> u64 {
        u64::try_from(parts).unwrap_or(0).div_ceil(self.per_second.get().into())
    }
}

/// The tokens of one limit. Its owner passes the limit to each call.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Below zero while reserved tokens are still to be earned.
    balance: i64,
    /// The time of the balance.
    at: u64,
    /// Tokens given back.
    credits: u32,
    /// The next credit may be used from this time on.
    next_credit: u64,
}

impl Bucket {
    pub(super) fn full(limit: RateLimit, now: u64) -> Self {
        Self { balance: limit.full(), at: now, credits: 0, next_credit: 0 }
    }

    /// Takes the next token, and returns when it may be used: `now`, or later.
    pub(super) fn reserve(&mut self, limit: RateLimit, now: u64) -> u64 {
        self.earn(limit, now);
        let earned = self.at + limit.time_for(TOKEN.saturating_sub(self.balance));
        let credit = self.at.max(self.next_credit);
        if self.credits > 0 && credit < earned {
            self.credits -= 1;
            self.next_credit = credit + limit.time_for(TOKEN);
            return credit;
        }
        self.balance = self.balance.saturating_sub(TOKEN);
        earned
    }

    /// Takes a token if one may be used now.
    pub(super) fn try_take(&mut self, limit: RateLimit, now: u64) -> bool {
        self.earn(limit, now);
        let has_credit = self.credits > 0 && self.next_credit <= self.at;
        let has_token = self.balance >= TOKEN || has_credit;
        if has_token {
            self.reserve(limit, now);
        }
        has_token
    }

    /// Returns a token, as a credit.
    pub(super) fn give_back(&mut self, limit: RateLimit) {
        self.credits = self.credits.saturating_add(1).min(self.missing(limit));
    }

    /// When nothing is left to remember: the bucket is full, and a credit could be used.
    pub(super) fn forgotten_at(&self, limit: RateLimit) -> u64 {
        let full = self.at + limit.time_for(limit.full().saturating_sub(self.balance));
        full.max(self.next_credit)
    }

    /// Replaces the limit. The tokens at hand remain, up to the new burst; a larger burst has to be earned.
    pub(super) fn change(&mut self, old: RateLimit, new: RateLimit, now: u64) {
        self.earn(old, now);
        self.earn(new, now);
    }

    fn earn(&mut self, limit: RateLimit, now: u64) {
        let elapsed = now.saturating_sub(self.at);
        let parts = elapsed.saturating_mul(limit.per_second.get().into());
        let parts = i64::try_from(parts).unwrap_or(i64::MAX);
        self.balance = self.balance.saturating_add(parts).min(limit.full());
        self.at += elapsed;
        self.credits = self.credits.min(self.missing(limit));
    }

    /// Tokens missing from a full bucket, begun ones included.
    fn missing(&self, limit: RateLimit) -> u32 {
        let parts = u64::try_from(limit.full().saturating_sub(self.balance)).unwrap_or(0);
        u32::try_from(parts.div_ceil(TOKEN.unsigned_abs())).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limit(per_second: u32, burst: u32) -> RateLimit {
        RateLimit::new(NonZeroU32::new(per_second).unwrap(), burst)
    }

    /// The most times within any second, by the definition.
    fn most_in_a_second(times: &[u64]) -> usize {
        let within = |from: u64| times.iter().filter(|at| (from..from + SECOND).contains(at)).count();
        times.iter().map(|&from| within(from)).max().unwrap_or(0)
    }

    #[test]
    fn a_limit_of_one_admits_one_a_second() {
        let (limit, mut times) = (limit(1, 0), Vec::new());
        let mut bucket = Bucket::full(limit, 0);
        for now in (0..10 * SECOND).step_by(1_000_000) {
            times.extend(bucket.try_take(limit, now).then_some(now));
        }
        assert_eq!(times, (0..10).map(|second| second * SECOND).collect::<Vec<_>>());
    }

    #[test]
    fn a_returned_token_is_used_next_but_never_beyond_a_full_bucket() {
        let limit = limit(10, 2);
        let mut bucket = Bucket::full(limit, 0);
        bucket.give_back(limit);
        let take_all = |bucket: &mut Bucket, now| (0..9).filter(|_| bucket.try_take(limit, now)).count();
        assert_eq!(take_all(&mut bucket, 0), 3);
        (0..9).for_each(|_| bucket.give_back(limit));
        // Credits are paced as well: three are kept, one may be used now.
        assert_eq!(take_all(&mut bucket, 0), 1);
        assert_eq!(take_all(&mut bucket, SECOND / 10), 2);
        // The bucket has filled up, so it takes nothing back.
        assert_eq!(take_all(&mut bucket, SECOND), 3);
    }

    #[test]
    fn a_change_neither_fills_the_bucket_nor_forgets_what_was_spent() {
        let (old, new) = (limit(10, 4), limit(10, 100));
        let mut bucket = Bucket::full(old, 0);
        let take_all =
            |bucket: &mut Bucket, limit, now| (0..200).filter(|_| bucket.try_take(limit, now)).count();
        assert_eq!(take_all(&mut bucket, old, 0), 5);
        bucket.change(old, old, 0);
        bucket.change(old, new, SECOND / 5);
        assert_eq!(take_all(&mut bucket, new, SECOND / 5), 2);
        bucket.change(new, old, 100 * SECOND);
        assert_eq!(take_all(&mut bucket, old, 100 * SECOND), 5);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let limit = limit(u32::MAX, u32::MAX);
        let mut bucket = Bucket::full(limit, 0);
        assert_eq!(bucket.reserve(limit, u64::MAX / 2), u64::MAX / 2);
        bucket.give_back(limit);
        assert!(bucket.try_take(limit, 0) && bucket.forgotten_at(limit) > 0);
    }

    proptest! {
        /// With unlimited demand, each second has exactly N, after a first one with the burst on top.
        #[test]
        fn unlimited_demand_gets_exactly_the_rate(per_second in 1..400u32, burst in 0..50u32, start in 0..SECOND) {
            let limit = limit(per_second, burst);
            let mut bucket = Bucket::full(limit, start);
            let times: Vec<_> = (0..burst + 4 * per_second).map(|_| bucket.reserve(limit, start)).collect();
            let in_second = |n: u64| {
                let second = start + n * SECOND..start + (n + 1) * SECOND;
                times.iter().filter(|at| second.contains(at)).count()
            };
            prop_assert_eq!(in_second(0), (burst + per_second) as usize);
            (1..4).for_each(|n| assert_eq!(in_second(n), per_second as usize));
            prop_assert!(times.is_sorted());
        }

        /// Tokens are admitted as in a list of admission times, and a request is refused only if the rate is used up.
        #[test]
        fn no_second_has_more_than_the_rate_and_the_burst(
            per_second in 1..40u32,
            burst in 0..20u32,
            pauses in vec(prop_oneof![Just(0), 0..50_000_000u64, 0..2 * SECOND], 1..200),
        ) {
            let limit = limit(per_second, burst);
            let (mut bucket, mut now, mut times) = (Bucket::full(limit, 0), 0, Vec::new());
            for pause in pauses {
                now += pause;
                // The model: from each earlier admission on, no more than the burst and what the time since then earns.
                let fits = |from: usize| {
                    let taken = (times.len() - from) as u64;
                    let allowed = (u64::from(burst) + 1) * SECOND + (now - times[from]) * u64::from(per_second);
                    (taken + 1) * SECOND <= allowed
                };
                let expected = (0..times.len()).all(fits);
                prop_assert_eq!(bucket.try_take(limit, now), expected);
                times.extend(expected.then_some(now));
            }
            prop_assert!(most_in_a_second(&times) <= (per_second + burst) as usize);
        }

        /// Whatever is given back, no second has more than twice the rate and the burst.
        #[test]
        fn returned_tokens_at_most_double_the_rate(
            per_second in 1..20u32,
            burst in 0..10u32,
            steps in vec((prop_oneof![Just(0), 0..100_000_000u64], 0..4u32), 1..300),
        ) {
            let limit = limit(per_second, burst);
            let (mut bucket, mut now, mut times) = (Bucket::full(limit, 0), 0, Vec::new());
            for (pause, returned) in steps {
                now += pause;
                times.extend(bucket.try_take(limit, now).then_some(now));
                (0..returned).for_each(|_| bucket.give_back(limit));
            }
            prop_assert!(most_in_a_second(&times) <= (2 * per_second + burst) as usize);
        }
    }
}
