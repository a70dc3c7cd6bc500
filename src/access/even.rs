//! Numbers that are spread evenly, to keep many parties out of step.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The golden ratio, as a fraction of 2^64. Its multiples are spread evenly between 0 and 1, however many there are.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// An even sequence with a random start.
#[derive(Clone, Copy, Debug)]
pub struct Even(u64);

impl Even {
    /// A sequence of its own.
    pub fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// The next number below `count`; 0 if that is 0.
    pub fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        u64::try_from((u128::from(self.0) * u128::from(count)) >> u64::BITS).unwrap_or_default()
    }
}

impl Default for Even {
    fn default() -> Self {
        Self::new()
    }
}
