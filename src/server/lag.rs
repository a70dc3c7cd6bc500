//! Overload: while a worker is late, its acceptors accept nothing, and new connections wait in the backlog or go to other
//! workers.

use std::time::Duration;

use log::{info, warn};

use crate::listener::{Gate, Hold};

/// Looks in a row at which a worker must be late: one alone may be that of a machine that stood still.
const LOOKS: u32 = 2;

/// How late a worker is. Pure, but for its gate.
pub(super) struct Lag<'a> {
    gate: &'a Gate,
    late: u32,
}

impl<'a> Lag<'a> {
    /// The lag of the worker with this gate. The gate outlives the look-out, and may be held from before.
    pub(super) const fn new(gate: &'a Gate) -> Self {
        Self { gate, late: 0 }
    }

    /// A look at a worker that answers after `delay`, or has not answered for so long. Above `max`, its gate is held; it is
    /// released below half of that.
    pub(super) fn look(&mut self, number: usize, delay: Duration, max: Option<Duration>) {
        let is_late = max.is_some_and(|max| delay > max);
        self.late = if is_late { self.late + 1 } else { 0 };
        let millis = delay.as_millis();
        if self.late >= LOOKS && self.gate.hold(Hold::Overloaded) {
            warn!(
                "worker {number} is overloaded lag={millis}ms: new connections wait, or go to other workers"
            );
        }
        let is_calm = max.is_none_or(|max| delay <= max / 2);
        if is_calm && self.gate.release(Hold::Overloaded) {
            info!("worker {number} accepts connections again lag={millis}ms");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_late_twice_accepts_nothing_until_it_is_calm() {
        let gate = Gate::default();
        let mut lag = Lag::new(&gate);
        let max = Some(Duration::from_millis(500));
        let mut is_open_after = |millis, max| {
            lag.look(0, Duration::from_millis(millis), max);
            gate.is_open()
        };
        assert!(is_open_after(10, max));
        assert!(is_open_after(501, max));
        assert!(is_open_after(500, max));
        assert!(is_open_after(501, max));
        assert!(!is_open_after(900, max));
        assert!(!is_open_after(251, max));
        assert!(is_open_after(250, max));
        assert!(is_open_after(600, max) && !is_open_after(600, max));
        // It is turned off.
        assert!(is_open_after(600, None));
        gate.hold(Hold::Overloaded);
        // By a look-out before this one.
        Lag::new(&gate).look(0, Duration::ZERO, max);
        assert!(gate.is_open());
    }
}
