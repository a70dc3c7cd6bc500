//! The limits of this machine. A config that exceeds them is lowered, and a warning is logged.

use std::fmt;

use super::{Config, Listener};

/// Descriptors that the process needs beside its listeners and workers: the standard streams, logs, the store, and room.
const PROCESS: u128 = 64;

/// Descriptors of each worker: the poll and the wake-up of its event loop, and one to spare.
const PER_WORKER: u128 = 3;

/// A setting that was lowered. Displayed, it names the limit, its cause, and the configured value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A listener had more accept loops than there are threads to run them.
    Acceptors {
        /// The listener's name.
        listener: String,
        /// Its accept loops in the file.
        asked: usize,
        /// The workers, one accept loop each.
        workers: usize,
    },
    /// The listeners together had more connections than the process can open files.
    Connections {
        /// Connections in the file.
        asked: u128,
        /// Connections that are possible, but at least one for each listener.
        possible: u128,
        /// The limit on open files.
        open_files: u64,
        /// The lowered listeners, and their new limits.
        lowered: Vec<(String, usize)>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acceptors { listener, asked, workers } => write!(
                f,
                "listener {listener}: acceptors limited to {workers}, one per worker (configured: {asked})"
            ),
            Self::Connections { asked, possible, open_files, lowered } => {
                let lowered: Vec<_> = lowered.iter().map(|(name, now)| format!("{name} {now}")).collect();
                write!(
                    f,
                    "max_connections limited to {possible} ({}): the open-file limit is {open_files} (configured, all listeners: \
                     {asked}); raise that limit (`ulimit -n`, `LimitNOFILE=`) or lower max_connections",
                    lowered.join(", ")
                )
            }
        }
    }
}

/// Lowers `config` to its own workers and to `open_files`, the descriptors that the process may have open. Never raises
/// anything, and leaves each listener at least one acceptor and one connection.
pub fn lower(config: &mut Config, open_files: u64) -> Vec<Warning> {
    let mut warnings = lower_acceptors(config);
    warnings.extend(lower_connections(config, open_files));
    warnings
}

fn lower_acceptors(config: &mut Config) -> Vec<Warning> {
    let workers = config.server.workers;
    let too_many = config.listeners.iter_mut().filter(|listener| listener.acceptors > workers);
    let lowered = too_many.map(|listener| {
        let asked = std::mem::replace(&mut listener.acceptors, workers);
        Warning::Acceptors { listener: listener.name.clone(), asked, workers }
    });
    lowered.collect()
}

/// A listener with few connections keeps them; the others share the rest evenly. Each keeps at least one connection.
fn lower_connections(config: &mut Config, open_files: u64) -> Option<Warning> {
    let possible = u128::from(open_files).saturating_sub(reserve(config));
    let asked: u128 = config.listeners.iter().map(|listener| listener.max_connections as u128).sum();
    if asked <= possible {
        return None;
    }
    let mut modest_first: Vec<_> = config.listeners.iter_mut().collect();
    modest_first.sort_by_key(|listener| listener.max_connections);
    let (mut left, mut sharers) = (possible, modest_first.len() as u128);
    let possible = possible.max(sharers);
    let mut lowered = Vec::new();
    for listener in modest_first {
        let share = usize::try_from(left / sharers).unwrap_or(usize::MAX).max(1);
        if listener.max_connections > share {
            listener.max_connections = share;
            lowered.push((listener.name.clone(), share));
        }
        left = left.saturating_sub(listener.max_connections as u128);
        sharers -= 1;
    }
    Some(Warning::Connections { asked, possible, open_files, lowered })
}

/// Descriptors that no connection can have. A listener has its socket, and each acceptor a duplicate of it.
fn reserve(config: &Config) -> u128 {
    let listening: u128 = config.listeners.iter().map(sockets).sum();
    PROCESS + listening + PER_WORKER * config.server.workers as u128
}

fn sockets(listener: &Listener) -> u128 {
    let acceptors = listener.acceptors as u128;
    acceptors + if listener.reuse_port { acceptors } else { 1 }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Listeners with these numbers of acceptors and connections.
    fn config(workers: usize, listeners: &[(usize, usize)]) -> Config {
        let mut config = Config::default();
        config.server.workers = workers;
        config.listeners = listeners
            .iter()
            .map(|&(acceptors, max_connections)| Listener {
                acceptors,
                max_connections,
                ..Listener::default()
            })
            .collect();
        config
    }

    fn connections(config: &Config) -> Vec<usize> {
        config.listeners.iter().map(|listener| listener.max_connections).collect()
    }

    #[test]
    fn a_config_within_the_limits_is_not_changed() {
        let mut lowered = config(2, &[(2, 100), (1, 50)]);
        let fits = 64 + (1 + 2) + (1 + 1) + 3 * 2 + 150;
        assert_eq!(lower(&mut lowered, fits), []);
        assert_eq!(lowered, config(2, &[(2, 100), (1, 50)]));
        assert_eq!(lower(&mut lowered, fits - 1).len(), 1);
        assert_eq!(connections(&lowered), [99, 50]);
    }

    #[test]
    fn the_warnings_name_the_limit_and_the_configured_value() {
        let mut lowered = config(2, &[(8, 100_000)]);
        let warnings: Vec<String> = lower(&mut lowered, 1024).iter().map(Warning::to_string).collect();
        assert_eq!(
            warnings,
            [
                "listener trap: acceptors limited to 2, one per worker (configured: 8)",
                "max_connections limited to 951 (trap 951): the open-file limit is 1024 (configured, all listeners: 100000); \
                 raise that limit (`ulimit -n`, `LimitNOFILE=`) or lower max_connections",
            ]
        );
        assert_eq!(lowered, config(2, &[(2, 951)]));
        assert_eq!(lower(&mut lowered, 1024), []);
    }

    #[test]
    fn small_listeners_keep_their_connections_and_each_has_at_least_one() {
        let mut lowered = config(1, &[(1, 30_001), (1, 10_001), (1, 1)]);
        let _ = lower(&mut lowered, 64 + 3 * 2 + 3 + 4003);
        assert_eq!(connections(&lowered), [2001, 2001, 1]);
        let _ = lower(&mut lowered, 0);
        assert_eq!(connections(&lowered), [1, 1, 1]);
    }

    proptest! {
        #[test]
        fn lowering_fits_the_budget_and_raises_nothing(
            workers in 1..=1024_usize,
            listeners in vec((1..=1024_usize, 1..=usize::MAX), 1..6),
            open_files in prop_oneof![0..20_000_u64, any::<u64>()],
        ) {
            let before = config(workers, &listeners);
            let mut after = before.clone();
            let warnings = lower(&mut after, open_files);
            let sum: u128 = connections(&after).into_iter().map(|one| one as u128).sum();
            let needed = sum + reserve(&after);
            let each_has_one = connections(&after).iter().all(|one| *one == 1);
            prop_assert!(needed <= u128::from(open_files) || each_has_one);
            for (old, new) in before.listeners.iter().zip(&after.listeners) {
                prop_assert!((1..=old.max_connections).contains(&new.max_connections));
                prop_assert!((1..=old.acceptors.min(workers)).contains(&new.acceptors));
            }
            prop_assert!(after == before || !warnings.is_empty());
        }

        #[test]
        fn nearly_all_that_is_possible_is_used(
            listeners in vec((1..=4_usize, 1_000..=100_000_usize), 1..6),
            open_files in 1_000..5_000_u64,
        ) {
            let mut lowered = config(4, &listeners);
            let _ = lower(&mut lowered, open_files);
            let sum: u128 = connections(&lowered).into_iter().map(|one| one as u128).sum();
            let used = sum + reserve(&lowered) + lowered.listeners.len() as u128;
            prop_assert!(used >= u128::from(open_files) || sum == listeners.iter().map(|one| one.1 as u128).sum());
        }
    }
}
