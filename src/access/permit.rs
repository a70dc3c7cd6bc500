//! A counting limit. A permit is a value: dropping it releases it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A limit and its current use. A clone is a handle to the same limit.
#[derive(Clone, Debug)]
pub struct Permits(Arc<Count>);

#[derive(Debug)]
struct Count {
    max: AtomicUsize,
    in_use: AtomicUsize,
}

impl Permits {
    /// At most `max` permits in use; with 0, no permits are available.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Count { max: max.into(), in_use: AtomicUsize::new(0) }))
    }

    /// Acquires a permit, if one is free.
    pub fn try_acquire(&self) -> Option<Permit> {
        // Acquire here, Release in `drop`: all work under a permit happens before its next use.
        let one_more = |in_use| (in_use < self.max()).then_some(in_use + 1);
        let taken = self.0.in_use.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Permit(Arc::clone(&self.0)))
    }

    /// The number of permits in use.
    pub fn in_use(&self) -> usize {
        self.0.in_use.load(Ordering::Acquire)
    }

    /// The maximum number of permits.
    pub fn max(&self) -> usize {
        self.0.max.load(Ordering::Relaxed)
    }

    /// Replaces the maximum. Permits in use stay, even above it; none is available until enough of them are released.
    pub fn set_max(&self, max: usize) {
        self.0.max.store(max, Ordering::Relaxed);
    }

    /// Whether more permits are in use than the maximum, since it was lowered.
    pub fn is_exceeded(&self) -> bool {
        self.in_use() > self.max()
    }
}

/// A permit. It may outlive its [`Permits`].
#[derive(Debug)]
#[must_use = "dropping it releases the permit"]
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

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Acquire,
        Release(usize),
        SetMax(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Acquire),
            2 => any::<usize>().prop_map(Step::Release),
            1 => (0..6usize).prop_map(Step::SetMax),
        ]
    }

    proptest! {
        /// The model is a vector of the permits in use.
        #[test]
        fn permits_are_out_as_long_as_they_live(max in 0..6usize, steps in vec(step(), 0..60)) {
            let (permits, mut max, mut out) = (Permits::new(max), max, Vec::new());
            for step in steps {
                match step {
                    Step::Release(which) if !out.is_empty() => drop(out.swap_remove(which % out.len())),
                    Step::Release(_) => {}
                    Step::Acquire => {
                        let permit = permits.try_acquire();
                        prop_assert_eq!(permit.is_some(), out.len() < max);
                        out.extend(permit);
                    }
                    Step::SetMax(new) => {
                        permits.set_max(new);
                        max = new;
                    }
                }
                prop_assert_eq!((permits.in_use(), permits.is_exceeded()), (out.len(), out.len() > max));
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
