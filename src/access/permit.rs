//! A bound on how many of something are out at once. A permit is a value: whoever drops it has given it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound, and what of it is in use. A clone is another handle to the same bound.
#[derive(Clone, Debug)]
pub struct Permits(Arc<Count>);

#[derive(Debug)]
struct Count {
    max: usize,
    in_use: AtomicUsize,
}

impl Permits {
    /// At most `max` permits out at once; with 0, none ever.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Count { max, in_use: AtomicUsize::new(0) }))
    }

    /// A permit, unless all of them are out.
    pub fn try_acquire(&self) -> Option<Permit> {
        // Acquire here and Release in `drop`: what was done under a permit has happened before it is given out again.
        let one_more = |in_use| (in_use < self.0.max).then_some(in_use + 1);
        let taken = self.0.in_use.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Permit(Arc::clone(&self.0)))
    }

    /// How many permits are out at this moment.
    pub fn in_use(&self) -> usize {
        self.0.in_use.load(Ordering::Acquire)
    }

    /// How many permits can be out at once.
    pub fn max(&self) -> usize {
        self.0.max
    }
}

/// One of the permits of a [`Permits`], which it outlives if need be.
#[derive(Debug)]
#[must_use = "a permit that is dropped is given back"]
pub struct Permit(Arc<Count>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clone_is_the_same_bound_and_a_permit_outlives_its_permits() {
        let permits = Permits::new(1);
        let clone = permits.clone();
        let permit = permits.try_acquire().unwrap();
        assert!(clone.try_acquire().is_none());
        drop(permits);
        drop(permit);
        assert_eq!((clone.in_use(), clone.max()), (0, 1));
        assert!(clone.try_acquire().is_some());
    }

    proptest! {
        /// The model is a vector of the permits that are out.
        #[test]
        fn permits_are_out_as_long_as_they_live(max in 0..6usize, steps in vec(any::<Option<usize>>(), 0..60)) {
            let permits = Permits::new(max);
            let mut out = Vec::new();
            for step in steps {
                match step {
                    Some(which) if !out.is_empty() => drop(out.swap_remove(which % out.len())),
                    Some(_) => {}
                    None => {
                        let permit = permits.try_acquire();
                        prop_assert_eq!(permit.is_some(), out.len() < max);
                        out.extend(permit);
                    }
                }
                prop_assert_eq!(permits.in_use(), out.len());
            }
            drop(out);
            prop_assert_eq!(permits.in_use(), 0);
        }
    }

    #[test]
    fn threads_never_hold_more_than_the_bound_and_leave_nothing_behind() {
        const MAX: usize = 2;
        let permits = Permits::new(MAX);
        let held = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        let Some(permit) = permits.try_acquire() else { continue };
                        let now = held.fetch_add(1, Ordering::Relaxed) + 1;
                        most.fetch_max(now, Ordering::Relaxed);
                        held.fetch_sub(1, Ordering::Relaxed);
                        drop(permit);
                    }
                });
            }
        });
        assert!((1..=MAX).contains(&most.into_inner()));
        assert_eq!(permits.in_use(), 0);
    }
}
