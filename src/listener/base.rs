//! What outlives a listener: its sockets, its door, and where its acceptors run.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::common::{Common, Worker};
use super::door::{Door, StartSession};
use super::failure::BindError;
use super::gate::Gate;
use super::journal::Journal;
use super::listening::Listening;
use super::options::Options;
use super::socket::Socket;
use super::tls::Loaded;
use crate::access::Permits;
use crate::address::Address;
use crate::faults::Faults;
use crate::stats::Stats;

/// The base of a listener. The start function owns it: while no acceptor runs, clients wait in the backlog of its sockets.
/// Everything in it can change while the listener runs.
pub struct Base {
    pub(super) door: Arc<Door>,
    pub(super) faults: Faults,
    workers: Vec<Counted>,
    acceptors: AtomicUsize,
    /// `None` when it is closed.
    listening: Mutex<Option<Listening>>,
}

/// A worker, with the listener's counters for it.
struct Counted {
    worker: Worker,
    stats: Arc<Stats>,
}

/// What an acceptor serves.
pub(super) struct Share {
    pub(super) worker: Worker,
    pub(super) stats: Arc<Stats>,
    pub(super) sockets: Vec<Arc<Socket>>,
}

impl Base {
    /// The base of a listener that accepts from `listening`. `start_session` starts the session of an admitted client.
    pub fn new(
        options: &Options,
        listening: Listening,
        common: &Common,
        start_session: StartSession,
    ) -> Self {
        let Common { workers, board, limits, faults } = common;
        let counters = board.of(&options.name, workers.len()).into_iter();
        let workers = workers.iter().cloned().zip(counters);
        Self {
            door: Arc::new(Door::new(options, limits.clone(), start_session)),
            faults: faults.clone(),
            workers: workers.map(|(worker, stats)| Counted { worker, stats }).collect(),
            acceptors: options.acceptors.into(),
            listening: Some(listening).into(),
        }
    }

    /// The name of the listener.
    pub fn name(&self) -> &str {
        self.door.journal.listener()
    }

    /// Where it listens, unless it is closed.
    pub fn address(&self) -> Option<Address> {
        self.listening().as_ref().map(|listening| listening.address().clone())
    }

    /// The permits behind its places.
    pub fn permits(&self) -> &Permits {
        self.door.permits()
    }

    /// TLS of its new connections.
    pub fn tls(&self) -> Option<Arc<Loaded>> {
        self.door.tls()
    }

    /// Its gate: held closed, nothing is accepted.
    pub fn gate(&self) -> &Gate {
        &self.door.gate
    }

    /// Its part of the log.
    pub fn journal(&self) -> &Journal {
        &self.door.journal
    }

    /// Changes everything but the name and the address. Returns whether the listener must be restarted for it, because the
    /// number of acceptors is another one. If the sockets do not take their options, the rest stays as it was.
    pub fn configure(&self, options: &Options) -> Result<bool, BindError> {
        let mut listening = self.listening();
        if let Some(listening) = &mut *listening {
            listening.apply(options)?;
        }
        self.door.configure(options);
        Ok(self.acceptors.swap(options.acceptors, Ordering::AcqRel) != options.acceptors)
    }

    /// Replaces the sockets by those that were opened with these options. The listener must be restarted, and the old
    /// sockets dropped afterwards.
    pub fn rebind(&self, listening: Listening, options: &Options) -> Option<Listening> {
        self.door.configure(options);
        self.acceptors.store(options.acceptors, Ordering::Release);
        self.listening().replace(listening)
    }

    /// Lets the sockets listen, also after their listening was ended from outside.
    pub fn listen(&self) -> io::Result<()> {
        self.listening().as_ref().map_or(Ok(()), Listening::listen)
    }

    /// Closes the sockets: clients are refused.
    pub fn close(&self) {
        self.listening().take();
    }

    /// The sockets by worker. Each one has an acceptor: if there are more sockets than acceptors, an acceptor has several.
    pub(super) fn shares(&self) -> Vec<Share> {
        let listening = self.listening();
        let sockets = listening.as_ref().map(Listening::sockets).unwrap_or_default();
        let acceptors = self.acceptors.load(Ordering::Acquire).clamp(1, self.workers.len().max(1));
        let workers = self.workers.iter().take(acceptors).enumerate();
        let share = |(number, Counted { worker, stats }): (usize, &Counted)| Share {
            worker: worker.clone(),
            stats: Arc::clone(stats),
            sockets: share(sockets, number, acceptors),
        };
        workers.map(share).collect()
    }

    fn listening(&self) -> MutexGuard<'_, Option<Listening>> {
        // Each change is one assignment.
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of `all` for the acceptor with this number. Acceptors share what there is less of than acceptors.
fn share<T: Clone>(all: &[T], number: usize, acceptors: usize) -> Vec<T> {
    if all.is_empty() {
        return Vec::new();
    }
    let own = all.iter().skip(number).step_by(acceptors);
    let shared = all.iter().skip(number % all.len()).take(usize::from(number >= all.len()));
    own.chain(shared).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_acceptor_has_a_socket_and_each_socket_an_acceptor() {
        let shares = |sockets: usize, acceptors| {
            let all: Vec<_> = (0..sockets).collect();
            (0..acceptors).map(|number| share(&all, number, acceptors)).collect::<Vec<_>>()
        };
        assert_eq!(shares(1, 3), [[0], [0], [0]]);
        assert_eq!(shares(3, 3), [[0], [1], [2]]);
        assert_eq!(shares(3, 1), [[0, 1, 2]]);
        assert_eq!(shares(3, 2), [vec![0, 2], vec![1]]);
        assert_eq!(shares(2, 3), [[0], [1], [0]]);
    }
}
