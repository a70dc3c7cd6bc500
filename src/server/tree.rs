//! The tree: the threads of the sessions, and the children of the supervisor in the order of their start.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use tokio::sync::watch;

use super::reporter::Reporter;
use super::{REJECTED, Running, Server, listener_id};
use crate::access::{Budget, Permits, Places};
use crate::config::{self, Config};
use crate::credentials::Current;
use crate::database::State;
use crate::faults::{Faults, Point};
use crate::listener::{self, Door, Journal, Listener, Worker};
use crate::registry::{Registry, Table};
use crate::session::{self, Authority, Holder, Sessions, Setup};
use crate::store::Store;
use crate::supervisor::{
    Background, ChildSpec, Intensity, Name, Started, Supervisor, Upkeep, Work, spawn, thread,
};

/// The ids of the children.
const STORE: &str = "store";
const STATE: &str = "state";
const REPORTER: &str = "reporter";
const REGISTRY: &str = "registry";
const SESSIONS: &str = "sessions";

/// How long a session that closes waits for its peer to close too, unless that is more than half of a stop.
const LINGER: Duration = Duration::from_secs(1);

/// Connections that have not authenticated share this part of the memory for what is unanswered.
const STRANGERS: usize = 8;

impl Server {
    /// Starts the tree. It must be called within an actix system, and its thread runs everything but the sessions and
    /// their acceptors.
    pub fn start(self) -> io::Result<Running> {
        let addresses = addresses(&self.config, &self.sockets);
        let (authenticator, stats_every) =
            (self.authenticator, watch::Sender::new(self.config.log.stats_every));
        let credentials = Current::new(authenticator);
        let setup = setup(&self.config, &credentials, self.store, self.faults);
        let Self { config, sockets, lock, state, .. } = self;
        let holders: Vec<_> = (0..config.server.workers).map(|_| Arc::default()).collect();
        let (arbiters, workers) = start_workers(&holders, &setup)?;
        let permits: Vec<_> =
            config.listeners.iter().map(|listener| Permits::new(listener.max_connections)).collect();
        let journals: Vec<_> =
            config.listeners.iter().map(|listener| Journal::from(listener.name.as_str())).collect();
        let sessions = Name::new();
        let intensity = Intensity::new(config.supervisor.max_restarts, config.supervisor.within);
        let (mut supervisor, gave_up) = Supervisor::new(intensity, config.supervisor.max_backoff);
        let reporter = reporter(stats_every.subscribe(), &setup, &workers, holders);
        supervisor = with_data(supervisor, &config, &setup, state.clone(), &credentials);
        supervisor = with_services(supervisor, &config, &setup, reporter, &workers, &sessions);
        for (((listener, socket), permits), journal) in
            config.listeners.iter().zip(sockets).zip(&permits).zip(&journals)
        {
            let door = door(listener, journal, permits);
            supervisor = supervisor.with(listen(&config, listener, socket, door, &workers, &setup.faults));
        }
        let (supervisor, link) = spawn(supervisor);
        Ok(Running {
            supervisor,
            link,
            gave_up,
            arbiters,
            addresses,
            permits,
            journals,
            stats: workers.into_iter().map(|worker| worker.stats).collect(),
            sessions,
            open: setup.open,
            budget: setup.budget,
            strangers: setup.strangers,
            table: setup.authority.table.clone(),
            lock,
            state,
            credentials,
            store: setup.store,
            stats_every,
            faults: setup.faults,
            config,
        })
    }
}

fn setup(config: &Config, credentials: &Current, store: Arc<dyn Store>, faults: Faults) -> Setup {
    let strangers = config.server.max_unanswered / STRANGERS;
    let authority =
        Authority { current: credentials.clone(), table: Table::default(), registry: Name::new() };
    Setup {
        settings: config.session.clone(),
        linger: LINGER.min(config.server.shutdown / 2),
        stats: Arc::default(),
        holder: Arc::default(),
        authority: Arc::new(authority),
        store,
        budget: Budget::new(config.server.max_unanswered - strangers),
        strangers: Budget::new(strangers),
        open: Arc::default(),
        faults,
    }
}

/// Starts a thread for sessions per holder, each with counters of its own.
fn start_workers(holders: &[Arc<Holder>], setup: &Setup) -> io::Result<(Vec<Arbiter>, Vec<Worker>)> {
    let arbiters = holders.iter().map(|_| Arbiter::try_new()).collect::<io::Result<Vec<_>>>()?;
    let worker = |(arbiter, holder): (&Arbiter, &Arc<Holder>)| {
        let worker = Worker { arbiter: arbiter.handle(), stats: Arc::default() };
        let (stats, holder) = (Arc::clone(&worker.stats), Arc::clone(holder));
        let setup = Setup { stats, holder, ..setup.clone() };
        worker.arbiter.spawn_fn(|| session::install(setup));
        worker
    };
    let workers = arbiters.iter().zip(holders).map(worker).collect();
    Ok((arbiters, workers))
}

fn reporter(
    stats_every: watch::Receiver<Option<Duration>>,
    setup: &Setup,
    workers: &[Worker],
    holders: Vec<Arc<Holder>>,
) -> Reporter {
    let arbiters = workers.iter().map(|worker| worker.arbiter.clone());
    Reporter {
        stats: workers.iter().map(|worker| Arc::clone(&worker.stats)).collect(),
        stats_every,
        workers: arbiters.zip(holders).collect(),
        table: setup.authority.table.clone(),
        faults: setup.faults.clone(),
    }
}

/// Adds what writes data. It outlives everything else.
fn with_data(
    supervisor: Supervisor,
    config: &Config,
    setup: &Setup,
    state: Option<State>,
    credentials: &Current,
) -> Supervisor {
    let (store, faults, on_state) = (Arc::clone(&setup.store), setup.faults.clone(), setup.faults.clone());
    let store = move || Ok(Started::new(Upkeep::new(Arc::clone(&store), faults.strike(Point::Store))));
    let supervisor = supervisor.child(STORE, store);
    let supervisor = match state {
        Some(state) => supervisor.child(STATE, move || {
            Ok(Started::new(Upkeep::new(StateThread(state.clone()), on_state.strike(Point::State))))
        }),
        None => supervisor,
    };
    // The server serves its devices without it.
    let (credentials, faults) = (credentials.clone(), setup.faults.clone());
    let rejected = move || Ok(Started::new(Upkeep::new(credentials.clone(), faults.strike(Point::Rejected))));
    supervisor.with(ChildSpec::new(REJECTED, rejected).intensity(own_intensity(config)))
}

/// The thread that writes the state.
struct StateThread(State);

impl Background for StateThread {
    fn work(&self) -> Option<Work> {
        let state = self.0.clone();
        Some(Box::pin(thread("state", move || state.run())))
    }

    fn finish(&self) {
        self.0.finish();
    }
}

/// Adds the reporter, the registry and the parent of the sessions.
fn with_services(
    supervisor: Supervisor,
    config: &Config,
    setup: &Setup,
    reporter: Reporter,
    workers: &[Worker],
    sessions: &Name<Sessions>,
) -> Supervisor {
    let (authority, faults) = (&setup.authority, setup.faults.clone());
    let (table, name) = (authority.table.clone(), authority.registry.clone());
    let registry = move || Ok(Started::named(Registry::new(table.clone(), faults.clone()), &name));
    let arbiters: Vec<_> = workers.iter().map(|worker| worker.arbiter.clone()).collect();
    let (open, name, faults) = (Arc::clone(&setup.open), sessions.clone(), setup.faults.clone());
    let sessions =
        move || Ok(Started::named(Sessions::new(arbiters.clone(), Arc::clone(&open), faults.clone()), &name));
    supervisor.with(report(config, reporter)).child(REGISTRY, registry).child(SESSIONS, sessions)
}

/// The reporter may fail: the server serves its devices without it.
fn report(config: &Config, reporter: Reporter) -> ChildSpec {
    let start = move || Ok(Started::task(reporter.clone().run()));
    ChildSpec::new(REPORTER, start).intensity(own_intensity(config))
}

/// The restart limit of a child that gives up alone.
const fn own_intensity(config: &Config) -> Intensity {
    Intensity::new(config.supervisor.max_restarts, config.supervisor.within)
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

/// A listener. Its socket, its permits and its counters belong to the start function, and so outlive it.
fn listen(
    config: &Config,
    listener: &config::Listener,
    socket: Arc<TcpListener>,
    door: Arc<Door>,
    workers: &[Worker],
    faults: &Faults,
) -> ChildSpec {
    let workers: Vec<_> = workers.iter().take(listener.acceptors).cloned().collect();
    let (socket, backlog, faults) = (Listening(socket), listener.backlog, faults.clone());
    let start = move || {
        let socket = socket.listen(backlog).map_err(|err| format!("listening failed: {err}"))?;
        let listener = Listener::new(socket, Arc::clone(&door), workers.clone(), faults.clone());
        Ok(Started::new(listener))
    };
    ChildSpec::new(listener_id(&listener.name), start).intensity(own_intensity(config))
}

/// A listening socket. When its listener is deleted, clients are refused.
struct Listening(Arc<TcpListener>);

impl Listening {
    /// The socket, which listens, whatever has happened to it.
    fn listen(&self, backlog: u32) -> io::Result<Arc<TcpListener>> {
        listener::listen(&self.0, backlog)?;
        Ok(Arc::clone(&self.0))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // An acceptor on a thread that stands still has it too.
        listener::close(&self.0);
    }
}
