//! Fault injection for tests: any actor can be made to panic or to block its thread.
//!
//! Only the cargo feature `faults` can set a fault; without it every call here is empty. Neither the wire nor the
//! config can set one. A binary with this feature panics or blocks at the points in the environment variable
//! `TRAP_FAULTS`: `TRAP_FAULTS=Registry,Registry,Writer=10s` means two panics of the registry, and a writer that blocks
//! for ten seconds.

/// The point at which a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// The next session that wakes up.
    Session,
    /// The next session that handles a frame.
    Frame,
    /// The next acceptor that has taken a connection.
    Acceptor,
    /// A listener.
    Listener,
    /// The registry.
    Registry,
    /// The registry, at the next request.
    RegistryQuestion,
    /// The task that reports the counters.
    Reporter,
    /// The parent of all sessions.
    Sessions,
    /// The timer of a worker's sessions.
    Clock,
    /// The store.
    Store,
    /// The thread that writes the store's file, at its next transaction.
    Writer,
    /// The thread that seals full segments, at its next task.
    Sealer,
    /// The child behind the state.
    State,
    /// The child that records rejected ids.
    Rejected,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Session,
        Self::Frame,
        Self::Acceptor,
        Self::Listener,
        Self::Registry,
        Self::RegistryQuestion,
        Self::Reporter,
        Self::Sessions,
        Self::Clock,
        Self::Store,
        Self::Writer,
        Self::Sealer,
        Self::State,
        Self::Rejected,
    ];
}

#[cfg(feature = "faults")]
pub use switch::Fault;
pub use switch::Faults;

#[cfg(feature = "faults")]
mod switch {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    use tokio::sync::watch;

    use super::Point;

    /// The effect at a point, once.
    #[derive(Clone, Copy, Debug)]
    pub enum Fault {
        /// The actor panics.
        Panic,
        /// The actor blocks its thread for this long.
        Block(Duration),
    }

    /// The faults set on one server.
    #[derive(Clone, Default)]
    pub struct Faults {
        set: Arc<Mutex<HashMap<Point, Vec<Fault>>>>,
        news: watch::Sender<()>,
    }

    impl Faults {
        /// The faults that `TRAP_FAULTS` lists.
        pub fn from_env() -> Self {
            let faults = Self::default();
            let listed = std::env::var("TRAP_FAULTS").unwrap_or_default();
            for fault in listed.split(',') {
                let (name, time) = fault.split_once('=').unwrap_or((fault, ""));
                let time = time.parse::<jiff::SignedDuration>().ok().and_then(|time| time.try_into().ok());
                let fault = time.map_or(Fault::Panic, Fault::Block);
                let point = Point::ALL.into_iter().find(|point| format!("{point:?}") == name);
                point.inspect(|point| faults.set(*point, fault));
            }
            faults
        }

        /// Sets a fault. It strikes once; several faults on one point strike one after the other.
        pub fn set(&self, point: Point, fault: Fault) {
            let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
            set.entry(point).or_default().push(fault);
            drop(set);
            self.news.send_replace(());
        }

        /// Whether a fault on this point is still to strike.
        pub fn is_set(&self, point: Point) -> bool {
            let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
            set.get(&point).is_some_and(|faults| !faults.is_empty())
        }

        /// Strikes now if a fault is set on `point`.
        #[allow(clippy::panic, reason = "this is what it is for")]
        pub fn trip(&self, point: Point) {
            let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
            let fault = set.get_mut(&point).and_then(Vec::pop);
            drop(set);
            match fault {
                None => {}
                Some(Fault::Block(time)) => std::thread::sleep(time),
                Some(Fault::Panic) => panic!("injected fault at {point:?}"),
            }
        }

        /// Waits, and strikes each time that a fault is set on `point`.
        pub fn strike(&self, point: Point) -> impl Future<Output = ()> + use<> {
            let faults = self.clone();
            async move {
                let mut news = faults.news.subscribe();
                loop {
                    faults.trip(point);
                    let _ = news.changed().await;
                }
            }
        }
    }
}

#[cfg(not(feature = "faults"))]
mod switch {
    use super::Point;

    /// No faults.
    #[derive(Clone, Default)]
    pub struct Faults(());

    impl Faults {
        /// There are none.
        pub fn from_env() -> Self {
            Self(())
        }

        /// Nothing strikes.
        #[inline]
        pub fn trip(&self, _: Point) {}

        /// Nothing ever strikes.
        pub fn strike(&self, _: Point) -> impl Future<Output = ()> + use<> {
            std::future::pending()
        }
    }
}
