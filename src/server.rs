//! The application: builds the tree from a config, drains it, stops it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_rt::Arbiter;
use log::{info, warn};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::access::{Budget, Permits, Places};
use crate::config::{self, Config};
use crate::credentials::{self, Credentials, Unknown};
use crate::database;
use crate::faults::Faults;
use crate::listener::{self, BindError, Door, Journal, Listener, Worker};
use crate::registry::{Registry, Table};
use crate::session::{self, Authority, OpenSessions, Setup};
use crate::stats::{Stats, Totals};
use crate::store::Store;
use crate::store::{self, Upkeep};
use crate::supervisor::{GaveUp, Intensity, Link, Name, Started, Supervisor, Terminate, spawn};

/// The names of the children, or how they begin: also the order in which they stop.
const LISTENERS: &str = "listener";
const REGISTRY: &str = "registry";
const STORE: &str = "store";

/// How long a session that closes waits for its peer to close too, unless that is more than half of a stop.
const LINGER: Duration = Duration::from_secs(1);

/// Connections that have not authenticated share this part of the memory for what is unanswered.
const STRANGERS: usize = 8;

/// A server whose sockets are open and whose tree is not there yet.
pub struct Server {
    config: Config,
    sockets: Vec<Arc<TcpListener>>,
    credentials: Arc<dyn Credentials>,
    unknown: Unknown,
    store: Arc<dyn Store>,
    faults: Faults,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A listening socket could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The store could not be opened.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// Nobody can be asked who the devices are.
    #[error(transparent)]
    Credentials(#[from] credentials::Unusable),
}

impl Server {
    /// Opens every listening socket of the config, or none, the credentials and the store.
    pub fn bind(config: Config) -> Result<Self, OpenError> {
        let sockets = config.listeners.iter().map(|listener| Ok(Arc::new(listener::bind(listener)?)));
        let sockets = sockets.collect::<Result<_, BindError>>()?;
        let (credentials, unknown) = credentials::open(&config)?;
        let faults = Faults::from_env();
        let store = store::open(&config.store, &faults)?;
        Ok(Self { config, sockets, credentials, unknown, store, faults })
    }

    /// Asks `credentials` instead of what the config names.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Arc<dyn Credentials>) -> Self {
        self.credentials = credentials;
        self
    }

    /// Stores in `store` instead of what the config names.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    /// Starts the tree. It must be called within an actix system, and its thread runs everything but the sessions and
    /// their acceptors.
    pub fn start(self) -> io::Result<Running> {
        let Self { config, sockets, credentials, unknown, store, faults } = self;
        let addresses = addresses(&config, &sockets);
        let strangers = config.server.max_unanswered / STRANGERS;
        let authority = Authority {
            credentials,
            // Once for its turn, once for its answer.
            timeout: config.credentials.timeout * 2,
            unknown: unknown.clone(),
            table: Table::default(),
            registry: Name::new(),
        };
        let setup = Setup {
            settings: config.session.clone(),
            linger: LINGER.min(config.server.shutdown / 2),
            stats: Arc::default(),
            authority: Arc::new(authority),
            store,
            budget: Budget::new(config.server.max_unanswered - strangers),
            strangers: Budget::new(strangers),
            open: Arc::default(),
            faults,
        };
        let (arbiters, workers) = start_workers(config.server.workers, &setup)?;
        let permits: Vec<_> =
            config.listeners.iter().map(|listener| Permits::new(listener.max_connections)).collect();
        let journals: Vec<_> =
            config.listeners.iter().map(|listener| Journal::from(listener.name.as_str())).collect();
        let (mut supervisor, gave_up) = supervisor(&config, &setup);
        for (((config, socket), permits), journal) in
            config.listeners.iter().zip(&sockets).zip(&permits).zip(&journals)
        {
            let door = door(config, journal, permits);
            supervisor = listen(supervisor, config, Arc::clone(socket), door, &workers, &setup.faults);
        }
        let (supervisor, link) = spawn(supervisor);
        let stats: Vec<_> = workers.into_iter().map(|worker| worker.stats).collect();
        let reports = config
            .log
            .stats_every
            .map(|every| AbortOnDropHandle::new(actix_rt::spawn(report(stats.clone(), every))));
        Ok(Running {
            supervisor,
            _link: link,
            gave_up,
            arbiters,
            sockets,
            addresses,
            permits,
            journals,
            stats,
            open: setup.open,
            budget: setup.budget,
            strangers: setup.strangers,
            table: setup.authority.table.clone(),
            unknown,
            faults: setup.faults,
            shutdown: config.server.shutdown,
            _reports: reports,
        })
    }
}

/// Starts the threads that sessions live on, each with counters of its own.
fn start_workers(workers: usize, setup: &Setup) -> io::Result<(Vec<Arbiter>, Vec<Worker>)> {
    let arbiters = (0..workers).map(|_| Arbiter::try_new()).collect::<io::Result<Vec<_>>>()?;
    let worker = |arbiter: &Arbiter| {
        let worker = Worker { arbiter: arbiter.handle(), stats: Arc::default() };
        let setup = Setup { stats: Arc::clone(&worker.stats), ..setup.clone() };
        worker.arbiter.spawn_fn(|| session::install(setup));
        worker
    };
    let workers = arbiters.iter().map(worker).collect();
    Ok((arbiters, workers))
}

/// A supervisor of the store and the registry, to which listeners are still to be added.
fn supervisor(config: &Config, setup: &Setup) -> (Supervisor, oneshot::Receiver<GaveUp>) {
    let intensity = Intensity::new(config.supervisor.max_restarts, config.supervisor.within);
    let (supervisor, gave_up) = Supervisor::new(intensity);
    let (store, faults) = (Arc::clone(&setup.store), setup.faults.clone());
    let supervisor =
        supervisor.child(STORE, move || Ok(Started::new(Upkeep::new(Arc::clone(&store), faults.clone()))));
    let (authority, faults) = (&setup.authority, setup.faults.clone());
    let (table, registry) = (authority.table.clone(), authority.registry.clone());
    let supervisor = supervisor
        .child(REGISTRY, move || Ok(Started::named(Registry::new(table.clone(), faults.clone()), &registry)));
    (supervisor, gave_up)
}

fn addresses(config: &Config, sockets: &[Arc<TcpListener>]) -> Vec<SocketAddr> {
    let listeners = config.listeners.iter().zip(sockets);
    listeners.map(|(config, socket)| socket.local_addr().unwrap_or(config.bind)).collect()
}

fn door(config: &config::Listener, journal: &Journal, permits: &Permits) -> Arc<Door> {
    let (rules, start_session) = (config.access.clone(), Arc::new(session::start));
    let places = Places::new(permits.clone(), config.max_unauthenticated);
    Arc::new(Door::new(journal.clone(), rules, places, start_session))
}

/// Adds a listener. Its socket, its permits and its counters belong to the start function, and so outlive it.
fn listen(
    supervisor: Supervisor,
    config: &config::Listener,
    socket: Arc<TcpListener>,
    door: Arc<Door>,
    workers: &[Worker],
    faults: &Faults,
) -> Supervisor {
    let workers: Vec<_> = workers.iter().take(config.acceptors).cloned().collect();
    let faults = faults.clone();
    supervisor.child(format!("{LISTENERS} {}", config.name), move || {
        let listener = Listener::new(Arc::clone(&socket), Arc::clone(&door), workers.clone(), faults.clone());
        Ok(Started::new(listener))
    })
}

async fn report(stats: Vec<Arc<Stats>>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    // The first tick comes at once, when there is nothing to report.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        info!("stats {}", Totals::of(&stats));
    }
}

/// A server with its tree.
pub struct Running {
    supervisor: Addr<Supervisor>,
    _link: Link,
    gave_up: oneshot::Receiver<GaveUp>,
    arbiters: Vec<Arbiter>,
    sockets: Vec<Arc<TcpListener>>,
    addresses: Vec<SocketAddr>,
    permits: Vec<Permits>,
    journals: Vec<Journal>,
    stats: Vec<Arc<Stats>>,
    open: Arc<OpenSessions>,
    budget: Budget,
    strangers: Budget,
    table: Table,
    unknown: Unknown,
    faults: Faults,
    shutdown: Duration,
    _reports: Option<AbortOnDropHandle<()>>,
}

/// How a stop went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Sessions that had to be cut off.
    pub cut_off: usize,
    /// Children that had to be killed.
    pub killed: Vec<String>,
}

impl Running {
    /// The address of each listener, in the config's order; a port 0 has become a real one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The counters of each worker; [`Totals::of`](crate::stats::Totals::of) adds them up.
    pub fn stats(&self) -> &[Arc<Stats>] {
        &self.stats
    }

    /// The permits of each listener, in the config's order.
    pub fn permits(&self) -> &[Permits] {
        &self.permits
    }

    /// Who is connected.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// All sessions.
    pub const fn open(&self) -> &Arc<OpenSessions> {
        &self.open
    }

    /// What all authenticated sessions together have unanswered.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What all other connections together have unanswered.
    pub const fn strangers(&self) -> &Budget {
        &self.strangers
    }

    /// Faults on demand.
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Resolves when the supervisor has given up, to the reason.
    pub async fn gave_up(&mut self) -> String {
        match (&mut self.gave_up).await {
            Ok(reason) => reason.to_string(),
            Err(_) => "the supervisor itself has ended".into(),
        }
    }

    /// Stops in phases under one deadline: the listeners and their sockets, so that newcomers are refused from then on, the
    /// sessions, the registry, the store.
    pub async fn stop(self) -> Stopped {
        let deadline = Instant::now() + self.shutdown;
        // Sessions that do not end must not cost the others their time.
        let sessions_deadline = deadline - self.shutdown / 10;
        let mut killed = self.terminate(LISTENERS, sessions_deadline).await;
        // The start functions still have them, for a listener that is restarted.
        self.sockets.iter().for_each(|socket| listener::close(socket));
        let cut_off = self.stop_sessions(sessions_deadline).await;
        // The listeners, which do it otherwise, are not there any more.
        self.journals.iter().for_each(Journal::summarise);
        killed.extend(self.terminate(REGISTRY, deadline).await);
        killed.extend(self.terminate(STORE, deadline).await);
        // What is not noted in time is lost; nobody was promised that it is not.
        let _ = timeout_at(deadline, self.unknown.finish()).await;
        self.arbiters.iter().for_each(|arbiter| {
            arbiter.stop();
        });
        Stopped { cut_off, killed }
    }

    async fn stop_sessions(&self, deadline: Instant) -> usize {
        let open = self.open.count();
        for arbiter in &self.arbiters {
            arbiter.spawn_fn(session::stop_all);
        }
        let ended = timeout_at(deadline, self.open.none()).await;
        let cut_off = if ended.is_ok() { 0 } else { self.open.count() };
        match cut_off {
            0 => info!("stopped {open} sessions"),
            _ => warn!(
                "stopped {} sessions, cut off {cut_off} that did not end in time",
                open.saturating_sub(cut_off)
            ),
        }
        cut_off
    }

    async fn terminate(&self, prefix: &'static str, deadline: Instant) -> Vec<String> {
        let within = deadline.saturating_duration_since(Instant::now());
        self.supervisor.send(Terminate { prefix, within }).await.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(binds: &[SocketAddr]) -> Config {
        let listener = |(index, bind): (usize, &SocketAddr)| config::Listener {
            name: format!("listener{index}"),
            bind: *bind,
            ..config::Listener::default()
        };
        Config { listeners: binds.iter().enumerate().map(listener).collect(), ..Config::default() }
    }

    #[test]
    fn every_socket_is_opened_or_none() {
        // An address that nobody else on this machine takes a port of.
        let free = TcpListener::bind("127.77.0.1:0").unwrap();
        let taken = TcpListener::bind("127.77.0.1:0").unwrap();
        let (first, second) = (free.local_addr().unwrap(), taken.local_addr().unwrap());
        drop(free);
        let Err(err) = Server::bind(config(&[first, second])) else { panic!("{second} is taken") };
        let text = err.to_string();
        assert!(text.starts_with(&format!("listener \"listener1\" cannot listen on {second}: ")), "{text}");
        assert!(
            text.ends_with(". Another process has it (`ss -ltnp` shows which); end it, or change `bind`")
        );
        drop(TcpListener::bind(first).unwrap());
        drop(taken);
        assert!(Server::bind(config(&[first, second])).is_ok());
    }

    #[test]
    fn an_address_of_another_machine_is_no_reason_to_look_for_a_process() {
        // 192.0.2.0/24 is for documentation, and nobody's.
        let Err(err) = Server::bind(config(&["192.0.2.1:0".parse().unwrap()])) else { panic!("it is ours") };
        assert!(err.to_string().ends_with(". This machine has no such address; change `bind`"), "{err}");
    }
}
