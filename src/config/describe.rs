//! A config as a list of its settings, and as `--check` prints it: the effective values on this machine, one per line.

use std::fmt::{self, Display};

use super::keys::{self, Effect, Key};
use super::{Config, Source};

/// A setting of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its section; for those of a listener, followed by the listener's name.
    pub section: String,
    /// Its key.
    pub key: &'static str,
    /// Its value, for people.
    pub value: String,
    /// The possible values, in the notation of the file.
    pub range: String,
    /// When a change takes effect.
    pub effect: Effect,
}

impl Setting {
    /// The name of its listener.
    pub fn listener(&self) -> Option<&str> {
        self.section.split_once(' ').map(|(_, listener)| listener)
    }
}

impl Config {
    /// The settings that are in use, in the order of the file.
    pub fn settings(&self) -> Vec<Setting> {
        self.list(false)
    }

    /// All settings, including those that other settings make unused.
    pub fn all_settings(&self) -> Vec<Setting> {
        self.list(true)
    }

    fn list(&self, all: bool) -> Vec<Setting> {
        let mut list = List { all, settings: Vec::new() };
        list.add("server", &keys::server(), &self.server);
        list.add("supervisor", &keys::supervisor(), &self.supervisor);
        for listener in &self.listeners {
            list.add(&format!("listener {}", listener.name), &keys::listener(), listener);
            list.add(&format!("listener.tls {}", listener.name), &keys::tls(), &listener.tls);
        }
        list.add("session", &keys::session(), &self.session);
        list.add("credentials", &keys::credentials(), &self.credentials);
        list.add("store", &keys::store(), &self.store);
        list.add("log", &keys::log(), &self.log);
        list.settings
    }
}

struct List {
    all: bool,
    settings: Vec<Setting>,
}

impl List {
    fn add<S>(&mut self, section: &str, keys: &[Key<S>], of: &S) {
        let listed = keys.iter().filter(|key| self.all || key.is_used(of));
        self.settings.extend(listed.map(|key| Setting {
            section: section.to_owned(),
            key: key.name,
            value: key.show(of),
            range: key.range(),
            effect: key.effect,
        }));
    }
}

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = String::new();
        for setting in self.settings() {
            if setting.section != section {
                section.clone_from(&setting.section);
                writeln!(f, "{section}")?;
            }
            // A listener's head has its name.
            if !(setting.listener().is_some() && setting.key == "name") {
                writeln!(f, "  {:<20}{}", setting.key, setting.value)?;
            }
        }
        Ok(())
    }
}

/// The notation of the file.
impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}
