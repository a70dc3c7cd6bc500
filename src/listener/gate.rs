//! The gate of a listener: while it is held closed, nothing is accepted, and clients wait in the backlog. The gate outlives
//! the listener and its acceptors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// Why a gate is held closed. Several reasons may hold it at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// An operator paused the listener.
    Paused = 1,
    /// The workers are overloaded.
    Overloaded = 2,
}

/// A gate, open at first. A clone is a handle to the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// A bit for each reason that holds it.
    held: AtomicU8,
    opened: Notify,
}

impl Gate {
    /// Holds the gate closed. Returns whether this reason did not hold it before.
    pub fn hold(&self, why: Hold) -> bool {
        let before = self.0.held.fetch_or(why as u8, Ordering::AcqRel);
        before & why as u8 == 0
    }

    /// Ends one reason. The gate opens with the last one. Returns whether this reason held it.
    pub fn release(&self, why: Hold) -> bool {
        let before = self.0.held.fetch_and(!(why as u8), Ordering::AcqRel);
        if before == why as u8 {
            self.0.opened.notify_waiters();
        }
        before & why as u8 != 0
    }

    /// Whether this reason holds the gate.
    pub fn is_held(&self, why: Hold) -> bool {
        self.0.held.load(Ordering::Acquire) & why as u8 != 0
    }

    /// Whether nothing holds the gate.
    pub fn is_open(&self) -> bool {
        self.0.held.load(Ordering::Acquire) == 0
    }

    /// Resolves when nothing holds the gate.
    pub async fn open(&self) {
        while !self.is_open() {
            let mut opened = std::pin::pin!(self.0.opened.notified());
            opened.as_mut().enable();
            if self.is_open() {
                return;
            }
            opened.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn the_gate_opens_with_the_last_reason() {
        let gate = Gate::default();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(gate.hold(Hold::Paused) && gate.hold(Hold::Overloaded) && !gate.hold(Hold::Paused));
        let mut open = std::pin::pin!(gate.open());
        assert_eq!(open.as_mut().poll(&mut cx), Poll::Pending);
        assert!(gate.release(Hold::Paused) && !gate.release(Hold::Paused));
        assert!(gate.is_held(Hold::Overloaded) && !gate.is_held(Hold::Paused) && !gate.is_open());
        assert_eq!(open.as_mut().poll(&mut cx), Poll::Pending);
        assert!(gate.release(Hold::Overloaded));
        assert_eq!(open.as_mut().poll(&mut cx), Poll::Ready(()));
        assert!(gate.is_open());
    }
}
