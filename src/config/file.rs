//! What may stand in `config.toml`: the keys, section by section, and the range of each. Defaults are not here but with
//! the types.

use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use log::LevelFilter;
use toml::de::{DeTable, DeValue};

use super::bind::bind;
use super::mistake::Fault;
use super::section::Section;
use super::value::{
    count, duration, duration_or_off, flag, name, path, postgres_url, seconds_or_off, size, size_of_file,
    size_or_off, word,
};
use super::{
    ClientPattern, Config, Credentials, Duplicate, Listener, Session, Source, Store, StoreKind, Synchronous,
    one_per_core,
};
use crate::access::Rules;
use crate::protocol::MAX_DATA;

/// The shortest and the longest time that is a plan rather than a slip.
const TIME: RangeInclusive<Duration> = Duration::from_millis(1)..=DAY;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// More often than once a second, the counters would be all that is in the log.
const STATS: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY;
/// Seconds; the most that Linux takes for `TCP_KEEPIDLE`.
const KEEPALIVE: u64 = 32_767;
/// Threads. More than any machine has cores; 0 asks for one per core.
const WORKERS: RangeInclusive<usize> = 0..=1024;
/// As many as workers: more than one per worker serve nothing.
const ACCEPTORS: RangeInclusive<usize> = 1..=1024;
/// 0 is a server that never restarts anything; each restart within the window is remembered.
const RESTARTS: RangeInclusive<usize> = 0..=1_000_000;
/// No longer than the quiet minute after which a delay starts again from zero.
const BACKOFF: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
/// More than any machine holds: the limit on open files lowers it.
const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000_000;
/// The kernel lowers it to `net.core.somaxconn`, once a 16-bit number.
const BACKLOG: RangeInclusive<u32> = 1..=65_535;
/// Bytes.
const FRAME: RangeInclusive<usize> = 1..=MAX_DATA;
/// Bytes that may be unanswered: a handful of small frames, and no more than a process has.
const UNANSWERED: RangeInclusive<u64> = 1 << 10..=1 << 40;
/// Records of a transaction; more of them gain nothing, and take time during which nobody is answered.
const BATCH: RangeInclusive<usize> = 1..=1_000_000;
const BATCH_BYTES: RangeInclusive<u64> = 1 << 10..=1 << 30;
const BATCH_TIME: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(1);
/// Shorter than the half minute that a session waits for the store.
const LOCKED: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(20);
/// How long messages may be kept.
const AGE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// Bytes of all segments: a few of the smallest, and more than any machine has.
const STORED: RangeInclusive<u64> = 1 << 20..=256 << 40;
/// Bytes of a segment: smaller ones cost more than they hold. A segment is checkpointed at once, and archived as a whole.
const SEGMENT: RangeInclusive<u64> = 64 << 10..=64 << 30;
/// The former name of the section.
const UPLINK: &str = "[uplink] is now [store]: `store` is its `kind`, `path` is the folder of the data (\"data\" if the file was \
                      \"data/trap.db\", which the next start takes over), and `max_unanswered` belongs to [server]";
const LOOK_UP: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
/// How long the ids of a database may be used that nobody can ask.
const GRACE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(30 * 24 * 60 * 60);
/// Ids that are remembered, some 200 bytes each.
const CACHE: RangeInclusive<usize> = 1..=100_000_000;
const UNKNOWN: RangeInclusive<usize> = 0..=1_000_000;

const STORES: &[(&str, StoreKind)] = &[("log", StoreKind::Log), ("sqlite", StoreKind::Sqlite)];

const SYNCHRONOUS: &[(&str, Synchronous)] = &[("full", Synchronous::Full), ("normal", Synchronous::Normal)];

const SOURCES: &[(&str, Source)] =
    &[("list", Source::List), ("sqlite", Source::Sqlite), ("postgres", Source::Postgres)];

const DUPLICATES: &[(&str, Duplicate)] = &[("takeover", Duplicate::Takeover), ("reject", Duplicate::Reject)];

const LEVELS: &[(&str, LevelFilter)] = &[
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

/// The config that `table`, the content of `text`, describes, and what is wrong with it. A text that is not `whole` may
/// have lost keys, so that what seems to be there twice may be a default.
pub(super) fn read(text: &str, table: DeTable<'_>, whole: bool) -> (Config, Vec<Fault>) {
    let mut config = Config::default();
    let mut faults = Vec::new();
    Section::file(text, table, &mut faults, |file| {
        file.section("server", |section| {
            section.set("workers", &mut config.server.workers, workers);
            section.set("shutdown", &mut config.server.shutdown, duration(TIME));
            section.set("max_unanswered", &mut config.server.max_unanswered, size(UNANSWERED));
        });
        file.section("supervisor", |section| {
            section.set("max_restarts", &mut config.supervisor.max_restarts, count(RESTARTS));
            section.set("within", &mut config.supervisor.within, duration(TIME));
            section.set("max_backoff", &mut config.supervisor.max_backoff, duration(BACKOFF));
        });
        listeners(file, &mut config.listeners, whole);
        file.section("session", |section| session(section, &mut config.session));
        file.section("credentials", |section| credentials(section, &mut config.credentials));
        file.section("store", |section| store(section, &mut config.store));
        file.renamed("uplink", UPLINK);
        file.section("log", |section| {
            section.set("level", &mut config.log.level, word(LEVELS));
            section.set("stats_every", &mut config.log.stats_every, duration_or_off(STATS));
        });
    });
    (config, faults)
}

fn workers(value: &DeValue<'_>) -> Result<usize, String> {
    match count(WORKERS)(value) {
        Ok(0) => Ok(one_per_core()),
        other => other,
    }
}

fn listeners(file: &mut Section<'_>, listeners: &mut Vec<Listener>, whole: bool) {
    let mut placed = Vec::new();
    file.sections("listener", |section| placed.push(listener(section)));
    if whole {
        forbid_twins(file, &placed);
    }
    if !placed.is_empty() {
        *listeners = placed.into_iter().map(|one| one.listener).collect();
    }
}

/// A listener, and where its name and its address come from, unless they are wrong.
struct Placed {
    listener: Listener,
    name_at: Option<Range<usize>>,
    bind_at: Option<Range<usize>>,
}

fn listener(section: &mut Section<'_>) -> Placed {
    let mut listener = Listener::default();
    let name_at = section.set("name", &mut listener.name, name);
    let bind_at = section.set("bind", &mut listener.bind, bind);
    section.set("acceptors", &mut listener.acceptors, count(ACCEPTORS));
    section.set("max_connections", &mut listener.max_connections, count(CONNECTIONS));
    section.set("max_unauthenticated", &mut listener.max_unauthenticated, count(CONNECTIONS));
    section.set("backlog", &mut listener.backlog, count(BACKLOG));
    section.set("nodelay", &mut listener.nodelay, flag);
    section.set("keepalive", &mut listener.keepalive, seconds_or_off(KEEPALIVE));
    section.set_list("access", &mut listener.access, |lines| {
        Rules::parse(lines).map_err(|bad| bad.into_iter().map(|bad| (bad.index, bad.to_string())).collect())
    });
    Placed { listener, name_at, bind_at }
}

fn forbid_twins(file: &mut Section<'_>, placed: &[Placed]) {
    for (index, Placed { listener, name_at, bind_at }) in placed.iter().enumerate() {
        let mut above = placed.iter().take(index).map(|one| &one.listener);
        if let Some(at) = name_at
            && above.clone().any(|other| other.name == listener.name)
        {
            let name = &listener.name;
            let message = format!("a listener above is called {name:?} too, give each a `name` of its own");
            file.fault(at.clone(), message);
        }
        if let Some(at) = bind_at
            && let Some(other) = above.find(|other| collide(other.bind, listener.bind))
        {
            let (bind, other) = (listener.bind, other.bind);
            let message = if bind == other {
                format!("a listener above has the address {bind} too, give each a `bind` of its own")
            } else {
                format!(
                    "a listener above has {other}, which leaves no room for {bind}: give each a `bind` of its own"
                )
            };
            file.fault(at.clone(), message);
        }
    }
}

/// Whether one socket keeps the other from its address. `[::]` is every IPv6 and IPv4 address, `0.0.0.0` every IPv4 one.
fn collide(mut one: SocketAddr, mut other: SocketAddr) -> bool {
    one.set_ip(one.ip().to_canonical());
    other.set_ip(other.ip().to_canonical());
    let covers = |wide: IpAddr, narrow: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4());
    let covered = covers(one.ip(), other.ip()) || covers(other.ip(), one.ip());
    one.port() == other.port() && one.port() != 0 && (one == other || covered)
}

fn session(section: &mut Section<'_>, session: &mut Session) {
    section.set("auth_timeout", &mut session.auth_timeout, duration(TIME));
    section.set("frame_timeout", &mut session.frame_timeout, duration(TIME));
    section.set("write_timeout", &mut session.write_timeout, duration(TIME));
    section.set("idle_timeout", &mut session.idle_timeout, duration_or_off(TIME));
    section.set("max_frame", &mut session.max_frame, count(FRAME));
    section.set("max_unanswered", &mut session.max_unanswered, size(UNANSWERED));
    section.set("duplicate", &mut session.duplicate, word(DUPLICATES));
}

fn credentials(section: &mut Section<'_>, credentials: &mut Credentials) {
    section.set("source", &mut credentials.source, word(SOURCES));
    section.set_list("clients", &mut credentials.clients, clients);
    section.set("url", &mut credentials.url, postgres_url);
    section.set("timeout", &mut credentials.timeout, duration(LOOK_UP));
    section.set("cache_time", &mut credentials.cache_time, duration_or_off(TIME));
    section.set("outage_grace", &mut credentials.outage_grace, duration_or_off(GRACE));
    section.set("cache_size", &mut credentials.cache_size, count(CACHE));
    section.set("max_unknown", &mut credentials.max_unknown, count(UNKNOWN));
}

fn store(section: &mut Section<'_>, store: &mut Store) {
    section.set("kind", &mut store.kind, word(STORES));
    section.set("path", &mut store.path, path);
    section.set("segment_size", &mut store.segment_size, size_of_file(SEGMENT));
    section.set("synchronous", &mut store.synchronous, word(SYNCHRONOUS));
    section.set("batch_records", &mut store.batch_records, count(BATCH));
    section.set("batch_bytes", &mut store.batch_bytes, size(BATCH_BYTES));
    section.set("batch_time", &mut store.batch_time, duration(BATCH_TIME));
    section.set("lock_timeout", &mut store.lock_timeout, duration(LOCKED));
    section.set("max_age", &mut store.max_age, duration_or_off(AGE));
    section.set("max_size", &mut store.max_size, size_or_off(STORED));
}

fn clients(lines: &[&str]) -> Result<Vec<ClientPattern>, Vec<(usize, String)>> {
    let mut patterns = Vec::new();
    let mut wrong = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        match ClientPattern::try_from(*line) {
            Ok(pattern) => patterns.push(pattern),
            Err(err) => wrong.push((index, err.to_string())),
        }
    }
    if wrong.is_empty() { Ok(patterns) } else { Err(wrong) }
}
