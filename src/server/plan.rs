//! What a reload does to the listeners. The files of TLS are read and the sockets are opened first, so that a failure changes
//! nothing.

use super::listeners::{ListenerError, Listeners};
use super::options::{options, with_tls};
use super::reload::ReloadError;
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
    pub(super) fn prepare(
        listeners: &Listeners,
        old: &[config::Listener],
        new: &[config::Listener],
    ) -> Result<Self, ReloadError> {
        let stays = |one: &&config::Listener| {
            let same = new.iter().find(|other| other.name == one.name);
            same.is_some_and(|same| options(one).shares_socket_with(&options(same)))
        };
        let is_in_new = |one: &&config::Listener| new.iter().any(|other| other.name == one.name);
        let removed = old.iter().filter(|one| !is_in_new(one)).map(|one| one.name.clone());
        let mut plan = Self { removed: removed.collect(), ..Self::default() };
        // What was loaded for it: its files may have changed.
        let as_it_is = |one: &config::Listener| Options { tls: listeners.tls(&one.name), ..options(one) };
        for listener in new {
            let before = old.iter().find(|one| one.name == listener.name).map(as_it_is);
            let pair = Late { old: before, new: with_tls(listener)? };
            // Sockets that this reload closes may have its address.
            let may_be_free = old.iter().filter(|one| !stays(one)).any(|one| one.excludes(listener));
            plan.add(pair, may_be_free)?;
        }
        Ok(plan)
    }

    fn add(&mut self, pair: Late, may_be_free: bool) -> Result<(), BindError> {
        if pair.old.as_ref() == Some(&pair.new) {
            return Ok(());
        }
        if pair.old.as_ref().is_some_and(|old| old.shares_socket_with(&pair.new)) {
            self.changed.push(pair.new);
            return Ok(());
        }
        match Listening::open(&pair.new) {
            Ok(listening) if pair.old.is_some() => self.moved.push((pair.new, listening)),
            Ok(listening) => self.added.push((pair.new, listening)),
            Err(err) if err.is_in_use() && may_be_free => self.late.push(pair),
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
