//! The settings of `config.toml`, typed and valid: a [`Config`] needs no more checks.
//!
//! | file | subject |
//! |---|---|
//! | `keys` | each key: its field, the form and range of its values, when a change takes effect |
//! | `value` `bind` `mode` | single values: how they are read and shown |
//! | `pattern` | an entry of the list of known ids |
//! | `tls` | `[listener.tls]` |
//! | `file` `section` | the reading of a file, in which no mistake loses its position |
//! | [`mistake`] | the mistakes of a file, and their positions |
//! | `describe` | a config as a list of settings, as `--check` prints it |
//! | `change` | the differences between two configs, and what a reload makes of them |
//! | [`limits`] | a config lowered to what this machine can do |

mod bind;
mod change;
mod describe;
mod file;
mod keys;
pub mod limits;
pub mod mistake;
mod mode;
mod pattern;
mod section;
mod tls;
mod value;

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use log::LevelFilter;
use toml::de::DeTable;

pub use self::change::{Change, changes};
pub use self::describe::Setting;
pub use self::keys::Effect;
use self::mistake::Fault;
pub use self::mistake::{LoadError, Mistake, Mistakes};
pub use self::pattern::{BadPattern, ClientPattern, Ids};
pub use self::tls::{ClientCertificates, IdentityFrom, Tls, TlsVersion};
use crate::access::{Excess, PaceLimits, Rules};
use crate::address::Address;
use crate::protocol::MAX_DATA;

/// Bytes.
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// All settings. The default is the shipped `config.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[supervisor]`
    pub supervisor: Supervisor,
    /// Each `[[listener]]`, in the order of the file; never empty, and without duplicate names or addresses.
    pub listeners: Vec<Listener>,
    /// `[session]`
    pub session: Session,
    /// `[credentials]`
    pub credentials: Credentials,
    /// `[store]`
    pub store: Store,
    /// `[log]`
    pub log: Log,
}

impl Config {
    /// Reads the text of a config file, named `file` in messages. Fails with all mistakes in it, except that
    /// some syntax errors hide later mistakes.
    pub fn parse(text: &str, file: &str) -> Result<Self, Mistakes> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let syntax: Vec<Fault> = errors.iter().map(|err| Fault::syntax(text, err)).collect();
        let (config, faults) = file::read(text, table.into_inner(), syntax.is_empty());
        if syntax.is_empty() && faults.is_empty() {
            return Ok(config);
        }
        Err(Mistakes::new(text, file, syntax, faults))
    }

    /// Reads a config file, of at most [`mistake::MAX_FILE`] bytes of UTF-8. Its relative paths start at its folder.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let text = mistake::read(path)?;
        let mut config = Self::parse(&text, &path.display().to_string())?;
        // Absolute, so that it does not depend on the working directory.
        let file = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let folder = file.parent().unwrap_or(Path::new("/"));
        config.store.path = folder.join(&config.store.path);
        for listener in &mut config.listeners {
            if let Address::Unix(path) = &mut listener.bind {
                *path = folder.join(&path);
            }
            listener.tls.start_at(folder);
        }
        Ok(config)
    }
}

impl Config {
    /// Whether the data folder is in use.
    pub fn has_folder(&self) -> bool {
        self.credentials.source == Source::Sqlite || self.store.kind == StoreKind::Sqlite
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: Server::default(),
            supervisor: Supervisor::default(),
            listeners: vec![Listener::default()],
            session: Session::default(),
            credentials: Credentials::default(),
            store: Store::default(),
            log: Log::default(),
        }
    }
}

/// The process as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Threads that serve devices, at least 1. The file's 0 is already resolved to one per core.
    pub workers: usize,
    /// Time limit of a shutdown, all phases together.
    pub shutdown: Duration,
    /// Time before a shutdown in which idle sessions are closed one after the other; `None` is off.
    pub drain: Option<Duration>,
    /// Maximum open connections on all listeners together; `None` is no limit.
    pub max_connections: Option<usize>,
    /// The lag of a worker above which it accepts no connections; `None` is no limit.
    pub max_lag: Option<Duration>,
    /// Maximum unanswered bytes of all sessions; above this, sessions that await an answer are not read.
    pub max_unanswered: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            workers: one_per_core(),
            shutdown: Duration::from_secs(2),
            drain: None,
            max_connections: None,
            max_lag: Some(Duration::from_millis(500)),
            max_unanswered: 64 * MIB,
        }
    }
}

/// The number of workers for `workers = 0` on this machine.
fn one_per_core() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// The restart limit of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervisor {
    /// Restarts within the window, of all children together; one more ends the server.
    pub max_restarts: usize,
    /// The window.
    pub within: Duration,
    /// The longest delay between two restarts of a child.
    pub max_backoff: Duration,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self { max_restarts: 1000, within: Duration::from_secs(3600), max_backoff: Duration::from_secs(1) }
    }
}

/// One listening socket, and the limits of its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in logs: 1 to 32 of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// Where it listens. Port 0 lets the system choose one.
    pub bind: Address,
    /// The permissions of the file of a Unix socket.
    pub mode: u32,
    /// Whether an IPv6 address rejects IPv4 clients.
    pub only_v6: bool,
    /// Whether each acceptor has a socket of its own.
    pub reuse_port: bool,
    /// Accept loops, at least 1.
    pub acceptors: usize,
    /// Maximum open connections, at least 1.
    pub max_connections: usize,
    /// Maximum open connections that have not authenticated; above this, the oldest one that has not sent its id is closed.
    pub max_unauthenticated: usize,
    /// New connections per second; `None` is no limit.
    pub connection_rate: Option<u32>,
    /// How many more may come at once after a quiet time.
    pub connection_burst: u32,
    /// The name of the rate, if listeners share it.
    pub shared_rate: Option<String>,
    /// What happens to connections beyond the rate.
    pub connection_excess: Excess,
    /// Maximum open connections of one source address; `None` is no limit.
    pub source_connections: Option<u32>,
    /// New connections per second of one source address; `None` is no limit.
    pub source_rate: Option<u32>,
    /// How many more of one source address may come at once after a quiet time.
    pub source_burst: u32,
    /// The prefix length of the IPv6 networks that are one source.
    pub source_prefix: u8,
    /// Connections that the kernel queues until they are accepted; fits an `i32`.
    pub backlog: u32,
    /// Whether small answers leave immediately (`TCP_NODELAY`).
    pub nodelay: bool,
    /// Whole seconds of silence before the kernel probes a peer; `None` is off.
    pub keepalive: Option<Duration>,
    /// Whole seconds between two probes; `None` is a quarter of `keepalive`.
    pub keepalive_interval: Option<Duration>,
    /// Unanswered probes after which the connection is dropped, unless `user_timeout` says when.
    pub keepalive_count: u32,
    /// How long data may stay unacknowledged, and probes unanswered; `None` is the time of `keepalive` and
    /// all probes.
    pub user_timeout: Option<Duration>,
    /// Bytes of the receive buffer; `None` leaves them to the kernel.
    pub receive_buffer: Option<usize>,
    /// Bytes of the send buffer; `None` leaves them to the kernel.
    pub send_buffer: Option<usize>,
    /// The addresses that may connect.
    pub access: Rules,
    /// What happens to open connections that a changed rule denies.
    pub on_change: OnChange,
    /// `[listener.tls]`
    pub tls: Tls,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            name: "trap".into(),
            bind: SocketAddr::from(([0, 0, 0, 0], 5000)).into(),
            mode: 0o660,
            only_v6: false,
            reuse_port: false,
            acceptors: 8,
            max_connections: 100_000,
            max_unauthenticated: 10_000,
            connection_rate: None,
            connection_burst: 0,
            shared_rate: None,
            connection_excess: Excess::Wait,
            source_connections: None,
            source_rate: None,
            source_burst: 0,
            source_prefix: 64,
            backlog: 512,
            nodelay: true,
            keepalive: Some(Duration::from_secs(60)),
            keepalive_interval: None,
            keepalive_count: 4,
            user_timeout: None,
            receive_buffer: None,
            send_buffer: None,
            access: Rules::default(),
            on_change: OnChange::Keep,
            tls: Tls::default(),
        }
    }
}

/// The limits of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Time from the connection to its complete AUTH or one-shot.
    pub auth_timeout: Duration,
    /// Time from the first byte of a frame to its last.
    pub frame_timeout: Duration,
    /// How long an answer may wait for a peer that does not read.
    pub write_timeout: Duration,
    /// Silence after which an authenticated session is closed; `None` is never.
    pub idle_timeout: Option<Duration>,
    /// Maximum bytes of data in one frame, 1 to [`MAX_DATA`].
    pub max_frame: usize,
    /// Maximum unanswered bytes of one session; above this, it is not read.
    pub max_unanswered: usize,
    /// Frames per second that one session may send; beyond it the session is read later. `None` is no limit.
    pub messages_per_second: Option<u32>,
    /// The same for bytes of frames.
    pub bytes_per_second: Option<u32>,
    /// The policy when an id that has a session authenticates again.
    pub duplicate: Duplicate,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            auth_timeout: Duration::from_secs(3),
            frame_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            idle_timeout: None,
            max_frame: MAX_DATA,
            max_unanswered: 256 * KIB,
            messages_per_second: None,
            bytes_per_second: None,
            duplicate: Duplicate::Takeover,
        }
    }
}

impl Session {
    /// The limits on the rates of one session; none if there is no limit.
    pub fn pace(&self) -> Option<PaceLimits> {
        let limits = PaceLimits {
            messages: self.messages_per_second.and_then(NonZero::new),
            bytes: self.bytes_per_second.and_then(NonZero::new),
        };
        (limits != PaceLimits::default()).then_some(limits)
    }
}

/// What a reload does to open connections that the changed rules of their listener deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// They stay.
    Keep,
    /// They are closed.
    Close,
}

/// The session that stays, of two with one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicate {
    /// The newer; the older is closed.
    Takeover,
    /// The older; the newer gets `auth_failure`.
    Reject,
}

/// The ids that may authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Where ids are looked up.
    pub source: Source,
    /// For [`Source::List`]: a client is known if one of these matches its id.
    pub clients: Vec<ClientPattern>,
    /// For [`Source::Postgres`]: the database, without a password.
    pub url: String,
    /// The timeout of a look-up.
    pub timeout: Duration,
    /// How long a look-up result is cached; `None` is not at all.
    pub cache_time: Option<Duration>,
    /// How long it is used after that while the database is down; `None` is not at all.
    pub outage_grace: Option<Duration>,
    /// The maximum number of cached ids, at least 1.
    pub cache_size: usize,
    /// Maximum number of recorded rejected ids; 0 is none.
    pub max_unknown: usize,
}

impl Default for Credentials {
    fn default() -> Self {
        let client = ClientPattern::try_from("client0012").expect("ten letters and digits are an id");
        Self {
            source: Source::List,
            clients: vec![client],
            url: "postgres://trap@127.0.0.1:5432/trap".into(),
            timeout: Duration::from_secs(2),
            cache_time: Some(Duration::from_secs(60)),
            outage_grace: Some(Duration::from_secs(24 * 60 * 60)),
            cache_size: 100_000,
            max_unknown: 1000,
        }
    }
}

/// Where ids are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the config itself.
    List,
    /// In the file `state.db` in the folder of [`Store`].
    Sqlite,
    /// In a PostgreSQL database.
    Postgres,
}

/// The store of the data of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its kind.
    pub kind: StoreKind,
    /// The data folder of [`StoreKind::Sqlite`] and of [`Source::Sqlite`].
    pub path: PathBuf,
    /// The size at which a segment is sealed and the next one begins, in bytes.
    pub segment_size: u64,
    /// What `send_ok` promises.
    pub synchronous: Synchronous,
    /// Maximum records per transaction, at least 1.
    pub batch_records: usize,
    /// Maximum bytes of data per transaction; a single read of a session may exceed it.
    pub batch_bytes: usize,
    /// Maximum time to collect one transaction.
    pub batch_time: Duration,
    /// How long another program may keep the file locked before SENDs are answered `send_failure`.
    pub lock_timeout: Duration,
    /// Segments are removed when all of their messages are older; `None` keeps them forever.
    pub max_age: Option<Duration>,
    /// Maximum bytes of all segments; above this, the oldest ones are removed. `None` is unlimited.
    pub max_size: Option<u64>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            kind: StoreKind::Sqlite,
            path: "data".into(),
            segment_size: 256 << 20,
            synchronous: Synchronous::Full,
            batch_records: 4096,
            batch_bytes: 4 * MIB,
            batch_time: Duration::from_millis(5),
            lock_timeout: Duration::from_secs(5),
            max_age: None,
            max_size: None,
        }
    }
}

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Lines in the log.
    Log,
    /// Rows of a SQLite file.
    Sqlite,
}

/// What `send_ok` promises, in SQLite's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// The record is on the disk: neither a crash of the server nor a power failure loses it.
    Full,
    /// The operating system has the record: a crash of the server does not lose it, a power failure may.
    Normal,
}

/// The server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// The interval of the line with the counters; `None` is never.
    pub stats_every: Option<Duration>,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LevelFilter::Info, stats_every: Some(Duration::from_secs(60)) }
    }
}

#[cfg(test)]
mod tests;
