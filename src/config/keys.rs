//! The keys of the file, each declared once: its name, which is that of its field, the form and the range of its values, and
//! when a change takes effect. The reader, `--check`, the changes of a reload, and the table of settings in the documentation
//! come from these lists. Defaults are not here but with the types.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use log::LevelFilter;
use toml::de::DeValue;

use super::bind::bind;
use super::mode::Mode;
use super::section::Section;
use super::value::{
    Codec, Count, CountOr, FileOr, Files, Flag, Folder, Name, OwnOr, PostgresUrl, Seconds, Size, SizeOr,
    Time, TimeOr, Word, Wrong, strings,
};
use super::{
    ClientCertificates, ClientPattern, Credentials, Duplicate, IdentityFrom, Listener, Log, OnChange, Server,
    Session, Source, Store, StoreKind, Supervisor, Synchronous, Tls, TlsVersion, one_per_core,
};
use crate::access::{Excess, Rules};
use crate::address::Address;
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
/// The most that Linux takes for `TCP_KEEPCNT`.
const PROBES: RangeInclusive<u32> = 1..=127;
/// Bytes of a socket's buffer: no less than the kernel's least, and room for its doubling.
const BUFFER: RangeInclusive<usize> = 4 << 10..=1 << 30;
/// What a zero means.
const OFF: &str = "off";
const KERNEL: &str = "the kernel's choice";
const PROBED: &str = "`keepalive` and all probes";
/// More than any machine holds: the limit on open files lowers it.
const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000_000;
/// Per second.
const CONNECTION_RATE: RangeInclusive<u32> = 1..=1_000_000;
const CONNECTION_BURST: RangeInclusive<u32> = 0..=1_000_000;
/// Connections of a source.
const SOURCE: RangeInclusive<u32> = 1..=1_000_000_000;
/// Bits of an IPv6 address.
const PREFIX: RangeInclusive<u8> = 1..=128;
/// Longer than the interval of the looks at the workers.
const LAG: RangeInclusive<Duration> = Duration::from_millis(300)..=Duration::from_secs(60);
/// The kernel lowers it to `net.core.somaxconn`, once a 16-bit number.
const BACKLOG: RangeInclusive<u32> = 1..=65_535;
/// No longer than anybody waits for a connection.
const HANDSHAKE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
/// Bytes.
const FRAME: RangeInclusive<usize> = 1..=MAX_DATA;
/// Bytes that may be unanswered: a handful of small frames, and no more than a process has.
const UNANSWERED: RangeInclusive<usize> = 1 << 10..=1 << 40;
/// More than a session can send.
const MESSAGES_PER_SECOND: RangeInclusive<u32> = 1..=100_000_000;
/// A few small frames, and more than a session can send.
const BYTES_PER_SECOND: RangeInclusive<u32> = 1 << 10..=1 << 30;
/// Records of a transaction; more of them gain nothing, and take time during which nobody is answered.
const BATCH: RangeInclusive<usize> = 1..=1_000_000;
const BATCH_BYTES: RangeInclusive<usize> = 1 << 10..=1 << 30;
const BATCH_TIME: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(1);
/// Shorter than the half minute that a session waits for the store.
const LOCKED: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(20);
/// How long messages may be kept.
const AGE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// Bytes of all segments: a few of the smallest, and more than any machine has.
const STORED: RangeInclusive<u64> = 1 << 20..=256 << 40;
/// Bytes of a segment: smaller ones cost more than they hold. A segment is checkpointed at once, and archived as a whole.
const SEGMENT: RangeInclusive<u64> = 64 << 10..=64 << 30;
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

const VERSIONS: &[(&str, TlsVersion)] = &[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];

const CLIENT_CERTIFICATES: &[(&str, ClientCertificates)] = &[
    ("off", ClientCertificates::Off),
    ("optional", ClientCertificates::Optional),
    ("required", ClientCertificates::Required),
];

const IDENTITIES: &[(&str, IdentityFrom)] =
    &[("off", IdentityFrom::Off), ("cn", IdentityFrom::Cn), ("san", IdentityFrom::San)];

const LEVELS: &[(&str, LevelFilter)] = &[
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

const EXCESS: &[(&str, Excess)] = &[("wait", Excess::Wait), ("refuse", Excess::Refuse)];

const ON_CHANGE: &[(&str, OnChange)] = &[("keep", OnChange::Keep), ("close", OnChange::Close)];

/// When a change of a key takes effect in a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// At a reload.
    Reload,
    /// At a reload, for connections that are accepted afterwards.
    NewConnections,
    /// At a reload, which opens the listening socket again. Open connections stay.
    Rebind,
    /// At the next start.
    Restart,
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reload => "reload",
            Self::NewConnections => "reload, new connections",
            Self::Rebind => "reload, opens the socket again",
            Self::Restart => "restart",
        })
    }
}

/// A key of the section `S`.
pub(super) struct Key<S> {
    pub(super) name: &'static str,
    pub(super) effect: Effect,
    is_used: fn(&S) -> bool,
    field: Box<dyn Field<S>>,
}

/// The field of a key, with the form of its values.
trait Field<S> {
    fn read(&self, key: &'static str, section: &mut Section<'_>, target: &mut S) -> Option<Range<usize>>;
    fn show(&self, of: &S) -> String;
    fn range(&self) -> String;
    fn copy(&self, from: &S, to: &mut S);
}

struct Form<S, C: Codec> {
    value: fn(&S) -> &C::Value,
    value_mut: fn(&mut S) -> &mut C::Value,
    codec: C,
}

impl<S, C: Codec> Field<S> for Form<S, C> {
    fn read(&self, key: &'static str, section: &mut Section<'_>, target: &mut S) -> Option<Range<usize>> {
        section.set(key, (self.value_mut)(target), |value| self.codec.read(value))
    }

    fn show(&self, of: &S) -> String {
        self.codec.show((self.value)(of))
    }

    fn range(&self) -> String {
        self.codec.range()
    }

    fn copy(&self, from: &S, to: &mut S) {
        (self.value_mut)(to).clone_from((self.value)(from));
    }
}

impl<S> Key<S> {
    /// Sets the field to the value of the key, if the file has one, see [`Section::set`].
    pub(super) fn read(&self, section: &mut Section<'_>, target: &mut S) -> Option<Range<usize>> {
        self.field.read(self.name, section, target)
    }

    /// The value, for people.
    pub(super) fn show(&self, of: &S) -> String {
        self.field.show(of)
    }

    /// The possible values, in the notation of the file.
    pub(super) fn range(&self) -> String {
        self.field.range()
    }

    /// Whether the other keys of the section leave this one a meaning.
    pub(super) fn is_used(&self, of: &S) -> bool {
        (self.is_used)(of)
    }

    /// Copies the value of the key.
    pub(super) fn copy(&self, from: &S, to: &mut S) {
        self.field.copy(from, to);
    }
}

/// The keys of a section: a field each, with the form of its values, and its effect.
macro_rules! keys {
    ($section:ty { $($field:ident: $codec:expr, $effect:ident $(, if $is_used:expr)?;)* }) => {
        vec![$(Key {
            name: stringify!($field),
            effect: Effect::$effect,
            is_used: |_of: &$section| true $(&& $is_used(_of))?,
            field: Box::new(Form {
                value: |of: &$section| &of.$field,
                value_mut: |of: &mut $section| &mut of.$field,
                codec: $codec,
            }),
        }),*]
    };
}

/// `[server]`
pub(super) fn server() -> Vec<Key<Server>> {
    keys!(Server {
        workers: Workers, Restart;
        shutdown: Time(TIME), Reload;
        drain: TimeOr(TIME, OFF), Reload;
        max_connections: CountOr(CONNECTIONS, OFF), Reload;
        max_lag: TimeOr(LAG, OFF), Reload;
        max_unanswered: Size(UNANSWERED), Restart;
    })
}

/// `[supervisor]`
pub(super) fn supervisor() -> Vec<Key<Supervisor>> {
    keys!(Supervisor {
        max_restarts: Count(RESTARTS), Restart;
        within: Time(TIME), Restart;
        max_backoff: Time(BACKOFF), Restart;
    })
}

/// `[[listener]]`
pub(super) fn listener() -> Vec<Key<Listener>> {
    keys!(Listener {
        name: Name, Reload;
        bind: Bind, Rebind;
        mode: Mode, Reload, if is_unix;
        only_v6: Flag, Rebind, if is_v6;
        acceptors: Count(ACCEPTORS), Reload;
        reuse_port: Flag, Rebind, if is_ip;
        max_connections: Count(CONNECTIONS), Reload;
        max_unauthenticated: Count(CONNECTIONS), Reload;
        connection_rate: CountOr(CONNECTION_RATE, OFF), Reload;
        connection_burst: Count(CONNECTION_BURST), Reload, if has_rate;
        shared_rate: OwnOr(Name), Reload, if has_rate;
        connection_excess: Word(EXCESS), Reload, if has_rate;
        source_connections: CountOr(SOURCE, OFF), Reload, if is_ip;
        source_rate: CountOr(CONNECTION_RATE, OFF), Reload, if is_ip;
        source_burst: Count(CONNECTION_BURST), Reload, if has_source_rate;
        source_prefix: Count(PREFIX), Reload, if has_source_limit;
        backlog: Count(BACKLOG), Reload;
        nodelay: Flag, NewConnections, if is_ip;
        keepalive: Seconds(KEEPALIVE, OFF), NewConnections, if is_ip;
        keepalive_interval: Seconds(KEEPALIVE, "a quarter of `keepalive`"), NewConnections, if probes;
        keepalive_count: Count(PROBES), NewConnections, if probes;
        user_timeout: TimeOr(TIME, PROBED), NewConnections, if is_ip;
        receive_buffer: SizeOr(BUFFER, KERNEL), Rebind;
        send_buffer: SizeOr(BUFFER, KERNEL), Rebind;
        access: Access, Reload, if is_ip;
        on_change: Word(ON_CHANGE), Reload, if is_ip;
    })
}

/// `[listener.tls]`
pub(super) fn tls() -> Vec<Key<Tls>> {
    keys!(Tls {
        certificates: Files(OFF), NewConnections, if Tls::is_on;
        keys: Files(OFF), NewConnections, if Tls::is_on;
        min_version: Word(VERSIONS), NewConnections, if Tls::is_on;
        client_certificates: Word(CLIENT_CERTIFICATES), NewConnections, if Tls::is_on;
        client_ca: FileOr(OFF), NewConnections, if asks_clients;
        client_crls: Files(OFF), NewConnections, if asks_clients;
        identity: Word(IDENTITIES), NewConnections, if asks_clients;
        handshake_timeout: Time(HANDSHAKE), NewConnections, if Tls::is_on;
        max_handshakes: Count(CONNECTIONS), NewConnections, if Tls::is_on;
    })
}

/// `[session]`
pub(super) fn session() -> Vec<Key<Session>> {
    keys!(Session {
        auth_timeout: Time(TIME), Reload;
        frame_timeout: Time(TIME), Reload;
        write_timeout: Time(TIME), Reload;
        idle_timeout: TimeOr(TIME, OFF), Reload;
        max_frame: Count(FRAME), Reload;
        max_unanswered: Size(UNANSWERED), Reload;
        messages_per_second: CountOr(MESSAGES_PER_SECOND, OFF), Reload;
        bytes_per_second: SizeOr(BYTES_PER_SECOND, OFF), Reload;
        duplicate: Word(DUPLICATES), Reload;
    })
}

/// `[credentials]`
pub(super) fn credentials() -> Vec<Key<Credentials>> {
    keys!(Credentials {
        source: Word(SOURCES), Reload;
        clients: Clients, Reload, if has_list;
        url: PostgresUrl, Reload, if is_postgres;
        timeout: Time(LOOK_UP), Reload, if asks;
        cache_time: TimeOr(TIME, OFF), Reload, if asks;
        outage_grace: TimeOr(GRACE, OFF), Reload, if asks;
        cache_size: Count(CACHE), Reload, if asks;
        max_unknown: Count(UNKNOWN), Restart;
    })
}

/// `[store]`
pub(super) fn store() -> Vec<Key<Store>> {
    keys!(Store {
        kind: Word(STORES), Restart;
        path: Folder, Restart;
        segment_size: Size(SEGMENT), Restart, if is_sqlite;
        synchronous: Word(SYNCHRONOUS), Restart, if is_sqlite;
        batch_records: Count(BATCH), Restart, if is_sqlite;
        batch_bytes: Size(BATCH_BYTES), Restart, if is_sqlite;
        batch_time: Time(BATCH_TIME), Restart, if is_sqlite;
        lock_timeout: Time(LOCKED), Restart, if is_sqlite;
        max_age: TimeOr(AGE, OFF), Reload, if is_sqlite;
        max_size: SizeOr(STORED, OFF), Reload, if is_sqlite;
    })
}

/// `[log]`
pub(super) fn log() -> Vec<Key<Log>> {
    keys!(Log {
        level: Word(LEVELS), Reload;
        stats_every: TimeOr(STATS, OFF), Reload;
    })
}

fn is_ip(listener: &Listener) -> bool {
    listener.bind.ip().is_some()
}

fn is_v6(listener: &Listener) -> bool {
    listener.bind.ip().is_some_and(|address| address.is_ipv6())
}

fn is_unix(listener: &Listener) -> bool {
    !is_ip(listener)
}

fn probes(listener: &Listener) -> bool {
    is_ip(listener) && listener.keepalive.is_some()
}

fn asks_clients(tls: &Tls) -> bool {
    tls.is_on() && tls.asks_clients()
}

fn has_list(credentials: &Credentials) -> bool {
    credentials.source == Source::List
}

fn asks(credentials: &Credentials) -> bool {
    !has_list(credentials)
}

fn is_postgres(credentials: &Credentials) -> bool {
    credentials.source == Source::Postgres
}

const fn has_rate(listener: &Listener) -> bool {
    listener.connection_rate.is_some()
}

fn has_source_rate(listener: &Listener) -> bool {
    is_ip(listener) && listener.source_rate.is_some()
}

fn has_source_limit(listener: &Listener) -> bool {
    has_source_rate(listener) || (is_ip(listener) && listener.source_connections.is_some())
}

fn is_sqlite(store: &Store) -> bool {
    store.kind == StoreKind::Sqlite
}

/// A number of threads, of which 0 means one per core.
struct Workers;

impl Codec for Workers {
    type Value = usize;

    fn read(&self, value: &DeValue<'_>) -> Result<usize, Wrong> {
        match Count(WORKERS).read(value) {
            Ok(0) => Ok(one_per_core()),
            other => other,
        }
    }

    fn show(&self, value: &usize) -> String {
        value.to_string()
    }

    fn range(&self) -> String {
        Count(WORKERS).range()
    }
}

/// A listening address.
struct Bind;

impl Codec for Bind {
    type Value = Address;

    fn read(&self, value: &DeValue<'_>) -> Result<Address, Wrong> {
        bind(value).map_err(Wrong::Value)
    }

    fn show(&self, value: &Address) -> String {
        value.to_string()
    }

    fn range(&self) -> String {
        "IP and port, or a port; a link-local address with its interface (`[fe80::1%eth0]:5000`); no multicast; or `unix:PATH`; unique".into()
    }
}

/// Access rules.
struct Access;

impl Codec for Access {
    type Value = Rules;

    fn read(&self, value: &DeValue<'_>) -> Result<Rules, Wrong> {
        strings(value, |lines| {
            let bad =
                |bad: Vec<_>| bad.into_iter().map(|bad: crate::access::BadRule| (bad.index, bad.to_string()));
            Rules::parse(lines).map_err(|rules| bad(rules).collect())
        })
    }

    fn show(&self, value: &Rules) -> String {
        value.to_string()
    }

    fn range(&self) -> String {
        "`allow` or `deny`, then an address, a network or `all`; the last rule is for `all`".into()
    }
}

/// Known ids.
struct Clients;

impl Codec for Clients {
    type Value = Vec<ClientPattern>;

    fn read(&self, value: &DeValue<'_>) -> Result<Self::Value, Wrong> {
        strings(value, |lines| {
            let (mut patterns, mut wrong) = (Vec::new(), Vec::new());
            for (index, line) in lines.iter().enumerate() {
                match ClientPattern::try_from(*line) {
                    Ok(pattern) => patterns.push(pattern),
                    Err(err) => wrong.push((index, err.to_string())),
                }
            }
            if wrong.is_empty() { Ok(patterns) } else { Err(wrong) }
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        let clients: Vec<String> = value.iter().map(ClientPattern::to_string).collect();
        if clients.is_empty() { "nobody".into() } else { clients.join(", ") }
    }

    fn range(&self) -> String {
        "a list".into()
    }
}
