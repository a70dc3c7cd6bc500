//! The differences between two configs, and what a reload makes of them. Pure: nothing here touches a running server.

use std::fmt;

use super::keys::{self, Effect, Key};
use super::{Config, Setting};

/// A difference between two configs. Displayed, it is a line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A listener that only the new config has, by its name.
    Added(String),
    /// A listener that only the old config has. Its sessions end with it.
    Removed(String),
    /// A setting with another value.
    Changed {
        /// Its former value, if it was in use.
        from: Option<String>,
        /// The setting as it is now.
        to: Setting,
    },
}

impl Change {
    /// When it takes effect.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Added(_) | Self::Removed(_) => Effect::Reload,
            Self::Changed { to, .. } => to.effect,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(listener) => write!(f, "listener {listener}: added"),
            Self::Removed(listener) => write!(f, "listener {listener}: removed"),
            Self::Changed { from, to: Setting { section, key, value, effect, .. } } => {
                let from = from.as_deref().unwrap_or("unused");
                write!(f, "{section}: {key} {from} -> {value}")?;
                match effect {
                    Effect::Reload => Ok(()),
                    Effect::NewConnections => write!(f, " (for new connections)"),
                    Effect::Rebind => write!(f, " (the socket is opened again)"),
                    Effect::Restart => write!(f, " (needs a restart)"),
                }
            }
        }
    }
}

/// The differences between two configs, in the order of the new one. Settings without a meaning in the new config are left
/// out. Listeners are compared by name.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let has = |config: &Config, name: &str| config.listeners.iter().any(|listener| listener.name == name);
    let gone = old.listeners.iter().filter(|listener| !has(new, &listener.name));
    let come = new.listeners.iter().filter(|listener| !has(old, &listener.name));
    let mut changes: Vec<_> = gone.map(|listener| Change::Removed(listener.name.clone())).collect();
    changes.extend(come.map(|listener| Change::Added(listener.name.clone())));
    let (before, after) = (old.settings(), old.reloaded(new).settings());
    for mut to in new.settings() {
        let is_new = to.listener().is_some_and(|name| !has(old, name));
        let was = find(&before, &to);
        if find(&after, &to).is_none() {
            // Another setting, which needs a restart, brings it into use.
            to.effect = Effect::Restart;
        }
        if !is_new && was.is_none_or(|was| was.value != to.value) {
            changes.push(Change::Changed { from: was.map(|was| was.value.clone()), to });
        }
    }
    changes
}

/// The same setting in another list.
fn find<'a>(settings: &'a [Setting], like: &Setting) -> Option<&'a Setting> {
    settings.iter().find(|one| one.section == like.section && one.key == like.key)
}

impl Config {
    /// The effective config after a reload of `new`: a setting whose change needs a restart keeps its old value.
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Self {
        let mut config = new.clone();
        keep(keys::server(), &self.server, &mut config.server);
        keep(keys::supervisor(), &self.supervisor, &mut config.supervisor);
        for listener in &mut config.listeners {
            if let Some(old) = self.listeners.iter().find(|old| old.name == listener.name) {
                keep(keys::listener(), old, listener);
            }
        }
        keep(keys::session(), &self.session, &mut config.session);
        keep(keys::credentials(), &self.credentials, &mut config.credentials);
        keep(keys::store(), &self.store, &mut config.store);
        keep(keys::log(), &self.log, &mut config.log);
        config
    }
}

fn keep<S>(keys: Vec<Key<S>>, old: &S, new: &mut S) {
    let kept = keys.into_iter().filter(|key| key.effect == Effect::Restart);
    kept.for_each(|key| key.copy(old, new));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text, "config.toml").unwrap()
    }

    fn shown(old: &str, new: &str) -> Vec<String> {
        changes(&parse(old), &parse(new)).iter().map(Change::to_string).collect()
    }

    #[test]
    fn the_changes_of_a_table_of_configs() {
        let two = "[[listener]]\nname = \"a\"\nbind = \"1\"\n[[listener]]\nname = \"b\"\nbind = \"2\"\n";
        let swapped = "[[listener]]\nname = \"b\"\nbind = \"2\"\n[[listener]]\nname = \"a\"\nbind = \"1\"\n";
        let three = format!("{two}[[listener]]\nname = \"c\"\nbind = \"3\"\nbacklog = 7\n");
        for (old, new, expected) in [
            ("", "", &[][..]),
            ("", "[session]\nauth_timeout = \"3s\"", &[]),
            ("[session]\nidle_timeout = \"60s\"", "[session]\nidle_timeout = \"1m\"", &[]),
            ("", "[session]\nauth_timeout = \"4s\"", &["session: auth_timeout 3s -> 4s"]),
            ("[session]\nidle_timeout = \"1h\"", "", &["session: idle_timeout 1h -> off"]),
            ("[server]\nworkers = 1", "[server]\nworkers = 2", &["server: workers 1 -> 2 (needs a restart)"]),
            (
                "",
                "[[listener]]\nbind = \"7\"",
                &["listener trap: bind 0.0.0.0:5000 -> 0.0.0.0:7 (the socket is opened again)"],
            ),
            (
                "",
                "[[listener]]\nnodelay = false",
                &["listener trap: nodelay on -> off (for new connections)"],
            ),
            ("", "[[listener]]\nname = \"lan\"", &["listener trap: removed", "listener lan: added"]),
            (two, swapped, &[]),
            (two, &three, &["listener c: added"]),
            (&three, two, &["listener c: removed"]),
            (
                "",
                "[[listener]]\naccess = [\"deny 10.1.2.3/8\", \"allow all\"]",
                &["listener trap: access allow all -> deny 10.0.0.0/8, allow all"],
            ),
            // Its size has no meaning for the log.
            (
                "",
                "[store]\nkind = \"log\"\nmax_size = \"1GiB\"",
                &["store: kind sqlite -> log (needs a restart)"],
            ),
            (
                "",
                "[credentials]\nsource = \"postgres\"\nurl = \"postgres://u@h/d\"",
                &[
                    "credentials: source list -> postgres",
                    "credentials: url unused -> postgres://u@h/d",
                    "credentials: timeout unused -> 2s",
                    "credentials: cache_time unused -> 1m",
                    "credentials: outage_grace unused -> 1d",
                    "credentials: cache_size unused -> 100000",
                ],
            ),
        ] {
            assert_eq!(shown(old, new), expected, "{old}\n->\n{new}");
        }
    }

    #[test]
    fn settings_that_need_a_restart_keep_their_old_values() {
        let old = parse("[server]\nworkers = 1\nshutdown = \"1s\"\n[store]\npath = \"a\"\nmax_age = \"1h\"");
        let new = parse("[server]\nworkers = 2\nshutdown = \"9s\"\n[store]\npath = \"b\"\nmax_age = \"2h\"");
        let now = old.reloaded(&new);
        let expected =
            parse("[server]\nworkers = 1\nshutdown = \"9s\"\n[store]\npath = \"a\"\nmax_age = \"2h\"");
        assert_eq!(now, expected);
        let left = changes(&now, &new);
        assert!(!left.is_empty() && left.iter().all(|change| change.effect() == Effect::Restart), "{left:?}");
    }

    #[test]
    fn a_setting_that_a_restart_brings_into_use_needs_it_too() {
        let told = shown("[store]\nkind = \"log\"", "[store]\nmax_age = \"1h\"");
        assert!(told.contains(&"store: max_age unused -> 1h (needs a restart)".into()), "{told:?}");
        assert!(told.iter().all(|change| change.ends_with(" (needs a restart)")), "{told:?}");
    }
}
