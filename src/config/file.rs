//! The sections of `config.toml`, read into a [`Config`] with the [`keys`] of each.

use std::ops::Range;

use toml::de::DeTable;

use super::keys::{self, Key};
use super::mistake::Fault;
use super::section::Section;
use super::{Config, Listener};
use crate::address::Address;

/// The former name of the section.
const UPLINK: &str = "[uplink] is now [store]: `store` is its `kind`, `path` is the folder of the data (\"data\" if the file was \
                      \"data/trap.db\", which the next start takes over), and `max_unanswered` belongs to [server]";
/// A Unix socket has no addresses to compare.
const NO_RULES: &str =
    "`access` is for IP addresses; `mode` says which users may connect to a Unix socket: remove `access`";

const NO_TLS: &str = "a Unix socket needs no TLS, because nothing leaves the machine: remove `certificates`";

/// The config of `table`, the content of `text`, and its mistakes. A text that is not `whole` may
/// have lost keys, so that an apparent duplicate may be a default.
pub(super) fn read(text: &str, table: DeTable<'_>, whole: bool) -> (Config, Vec<Fault>) {
    let mut config = Config::default();
    let mut faults = Vec::new();
    Section::file(text, table, &mut faults, |file| {
        section(file, "server", keys::server(), &mut config.server);
        section(file, "supervisor", keys::supervisor(), &mut config.supervisor);
        listeners(file, &mut config.listeners, whole);
        section(file, "session", keys::session(), &mut config.session);
        section(file, "credentials", keys::credentials(), &mut config.credentials);
        section(file, "store", keys::store(), &mut config.store);
        file.renamed("uplink", UPLINK);
        section(file, "log", keys::log(), &mut config.log);
    });
    (config, faults)
}

fn section<S>(file: &mut Section<'_>, name: &'static str, keys: Vec<Key<S>>, target: &mut S) {
    file.section(name, |section| keys.iter().for_each(|key| _ = key.read(section, target)));
}

fn listeners(file: &mut Section<'_>, listeners: &mut Vec<Listener>, whole: bool) {
    let mut placed = Vec::new();
    file.sections("listener", |section| placed.push(listener(section)));
    if whole {
        forbid_twins(file, &placed);
        forbid_two_rates(file, &placed);
    }
    if !placed.is_empty() {
        *listeners = placed.into_iter().map(|one| one.listener).collect();
    }
}

/// A listener, and the positions of its name and its address, unless they are wrong.
struct Placed {
    listener: Listener,
    name_at: Option<Range<usize>>,
    bind_at: Option<Range<usize>>,
    rate_at: Option<Range<usize>>,
}

fn listener(section: &mut Section<'_>) -> Placed {
    let (mut listener, mut name_at, mut bind_at) = (Listener::default(), None, None);
    let (mut access_at, mut rate_at) = (None, None);
    let has_access = section.has("access");
    for key in keys::listener() {
        let at = key.read(section, &mut listener);
        match key.name {
            "name" => name_at = at,
            "bind" => bind_at = at,
            "access" => access_at = at,
            "shared_rate" => rate_at = at,
            _ => {}
        }
    }
    if let (Address::Unix(_), true, Some(at)) = (&listener.bind, has_access, access_at) {
        section.fault(at, NO_RULES.into());
    }
    tls(section, &mut listener);
    Placed { listener, name_at, bind_at, rate_at }
}

/// Listeners that share a rate must agree on it.
fn forbid_two_rates(file: &mut Section<'_>, placed: &[Placed]) {
    let rate = |listener: &Listener| (listener.connection_rate, listener.connection_burst);
    for (index, Placed { listener, rate_at, .. }) in placed.iter().enumerate() {
        let Some(name) = listener.shared_rate.as_ref() else { continue };
        let mut above = placed.iter().take(index).map(|one| &one.listener);
        let other = above.find(|other| other.shared_rate.as_ref() == Some(name));
        if let (Some(other), Some(at)) = (other, rate_at)
            && rate(other) != rate(listener)
        {
            let other = &other.name;
            let message = format!(
                "listener {other:?} has another rate of the name {name:?}: `connection_rate` and `connection_burst` must \
                 be the same"
            );
            file.fault(at.clone(), message);
        }
    }
}

fn tls(section: &mut Section<'_>, listener: &mut Listener) {
    let (bind, tls) = (&listener.bind, &mut listener.tls);
    section.section("tls", |section| {
        let at: Vec<_> = keys::tls().iter().map(|key| (key.name, key.read(section, tls))).collect();
        let contradiction = match (bind, tls.is_on()) {
            (Address::Unix(_), true) => Some(("certificates", NO_TLS.into())),
            _ => tls.contradiction(),
        };
        let Some((key, message)) = contradiction else { return };
        // If one of them is wrong, the contradiction may be none.
        if at.iter().all(|(_, at)| at.is_some())
            && let Some((_, Some(at))) = at.into_iter().find(|(name, _)| *name == key)
        {
            section.fault(at, message);
        }
    });
}

fn forbid_twins(file: &mut Section<'_>, placed: &[Placed]) {
    for (index, Placed { listener, name_at, bind_at, .. }) in placed.iter().enumerate() {
        let mut above = placed.iter().take(index).map(|one| &one.listener);
        if let Some(at) = name_at
            && above.clone().any(|other| other.name == listener.name)
        {
            let name = &listener.name;
            let message = format!("duplicate name {name:?}: each listener needs a `name` of its own");
            file.fault(at.clone(), message);
        }
        if let Some(at) = bind_at
            && let Some(other) = above.find(|other| other.excludes(listener))
        {
            let (bind, other) = (&listener.bind, &other.bind);
            let message = if bind == other {
                format!("duplicate address {bind}: each listener needs a `bind` of its own")
            } else {
                format!(
                    "{bind} conflicts with {other} of a listener above: each listener needs a `bind` of its own"
                )
            };
            file.fault(at.clone(), message);
        }
    }
}
