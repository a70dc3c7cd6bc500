//! What a reload does to the listeners. The sockets are opened first, so that a failure changes nothing.

use super::listeners::{ListenerError, Listeners};
use super::options::options;
use crate::config;
use crate::listener::{BindError, Listening, Options};

/// The changes of the listeners, with the sockets that could be opened.
#[derive(Default)]
pub(super) struct Plan {
    removed: Vec<String>,
    added: Vec<(Options, Listening)>,
    moved: Vec<(Options, Listening)>,
    /// Their addresses are in use, and may be free once other sockets of this server are closed.
    late: Vec<Late>,
    changed: Vec<Options>,
}

/// A listener whose socket is opened late. `old` is what it is now, if it is there.
pub(super) struct Late {
    pub(super) old: Option<Options>,
    pub(super) new: Options,
}

impl Plan {
    /// Opens the sockets that the listeners of `new` need, and those of `old` do not have.
    pub(super) fn prepare(old: &[config::Listener], new: &[config::Listener]) -> Result<Self, BindError> {
        let is_in = |listeners: &[config::Listener], name: &str| listeners.iter().any(|one| one.name == name);
        let removed = old.iter().filter(|one| !is_in(new, &one.name)).map(|one| one.name.clone());
        let mut plan = Self { removed: removed.collect(), ..Self::default() };
        let before = |name: &str| old.iter().find(|one| one.name == name).map(options);
        let pairs: Vec<_> =
            new.iter().map(|one| Late { old: before(&one.name), new: options(one) }).collect();
        let closes_one = !plan.removed.is_empty() || pairs.iter().any(Late::is_moved);
        for pair in pairs {
            plan.add(pair, closes_one)?;
        }
        Ok(plan)
    }

    fn add(&mut self, pair: Late, closes_one: bool) -> Result<(), BindError> {
        if pair.old.as_ref() == Some(&pair.new) {
            return Ok(());
        }
        if pair.old.is_some() && !pair.is_moved() {
            self.changed.push(pair.new);
            return Ok(());
        }
        match Listening::open(&pair.new) {
            Ok(listening) if pair.old.is_some() => self.moved.push((pair.new, listening)),
            Ok(listening) => self.added.push((pair.new, listening)),
            Err(err) if err.is_in_use() && closes_one => self.late.push(pair),
            Err(err) => return Err(err),
        }
        Ok(())
    }

    /// Carries it out. Returns what failed: those listeners stay as they were.
    pub(super) async fn apply(self, listeners: &Listeners) -> Vec<ListenerError> {
        let mut failed = Vec::new();
        for name in &self.removed {
            failed.extend(listeners.remove(name).await.err());
        }
        for (options, listening) in self.moved {
            failed.extend(listeners.replace(&options, || Ok(listening)).await.err());
        }
        failed.extend(listeners.reopen(self.late).await);
        for (options, listening) in self.added {
            failed.extend(listeners.add_open(&options, listening).await.err());
        }
        for options in &self.changed {
            failed.extend(listeners.configure(options).await.err());
        }
        failed
    }
}

impl Late {
    /// Whether the listener is there, and needs another socket.
    fn is_moved(&self) -> bool {
        self.old.as_ref().is_some_and(|old| !old.shares_socket_with(&self.new))
    }
}
