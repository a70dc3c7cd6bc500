//! The tree: the threads of the sessions, and the children of the supervisor in the order of their start.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle};

use super::listeners::{Listeners, Site};
use super::options::options;
use super::reporter::Reporter;
use super::{Running, Server};
use crate::access::Budget;
use crate::config::Config;
use crate::credentials::Unknown;
use crate::database::State;
use crate::faults::Point;
use crate::registry::{Registry, Table};
use crate::session::{self, Authority, Holder, Sessions, Setup};
use crate::stats::Board;
use crate::supervisor::{
    Background, ChildSpec, Intensity, Name, Started, Supervisor, Upkeep, Work, spawn, thread,
};

/// The ids of the children. Those of the listeners are in `listeners`.
const STORE: &str = "store";
const STATE: &str = "state";
const REJECTED: &str = "rejected ids";
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
        let setup = self.setup();
        let Self { config, sockets, lock, state, unknown, .. } = self;
        let holders: Vec<_> = (0..config.server.workers).map(|_| Arc::default()).collect();
        let (arbiters, workers) = start_workers(&holders, &setup)?;
        let (board, sessions) = (Board::default(), Name::new());
        let site = Site {
            workers: workers.clone(),
            board: board.clone(),
            sessions: sessions.clone(),
            limit: config.supervisor.clone(),
            faults: setup.faults.clone(),
        };
        let intensity = Intensity::new(config.supervisor.max_restarts, config.supervisor.within);
        let (mut supervisor, gave_up) = Supervisor::new(intensity, config.supervisor.max_backoff);
        let reporter = reporter(&config, &setup, &board, &workers, holders);
        supervisor = with_data(supervisor, &config, &setup, state, &unknown);
        supervisor = with_services(supervisor, &config, &setup, reporter, workers, &sessions);
        let listeners = config.listeners.iter().map(options).zip(sockets);
        let bases: Vec<_> = listeners.map(|(options, socket)| site.base(&options, socket)).collect();
        supervisor = bases.iter().fold(supervisor, |supervisor, base| supervisor.with(site.child(base)));
        let (supervisor, link) = spawn(supervisor);
        Ok(Running {
            listeners: Arc::new(Listeners::new(site, supervisor.clone(), bases)),
            supervisor,
            link,
            gave_up,
            arbiters,
            board,
            sessions,
            open: setup.open,
            budget: setup.budget,
            strangers: setup.strangers,
            table: setup.authority.table.clone(),
            lock,
            faults: setup.faults,
            shutdown: config.server.shutdown,
        })
    }

    fn setup(&self) -> Setup {
        let config = &self.config;
        let strangers = config.server.max_unanswered / STRANGERS;
        let authority = Authority {
            credentials: Arc::clone(&self.credentials),
            // Once for its turn, once for its answer.
            timeout: config.credentials.timeout * 2,
            unknown: self.unknown.clone(),
            table: Table::default(),
            registry: Name::new(),
        };
        Setup {
            settings: config.session.clone(),
            linger: LINGER.min(config.server.shutdown / 2),
            holder: Arc::default(),
            authority: Arc::new(authority),
            store: Arc::clone(&self.store),
            budget: Budget::new(config.server.max_unanswered - strangers),
            strangers: Budget::new(strangers),
            open: Arc::default(),
            faults: self.faults.clone(),
        }
    }
}

/// Starts a thread for sessions per holder.
fn start_workers(holders: &[Arc<Holder>], setup: &Setup) -> io::Result<(Vec<Arbiter>, Vec<ArbiterHandle>)> {
    let arbiters = holders.iter().map(|_| Arbiter::try_new()).collect::<io::Result<Vec<_>>>()?;
    let worker = |(arbiter, holder): (&Arbiter, &Arc<Holder>)| {
        let setup = Setup { holder: Arc::clone(holder), ..setup.clone() };
        arbiter.spawn_fn(|| session::install(setup));
        arbiter.handle()
    };
    let workers = arbiters.iter().zip(holders).map(worker).collect();
    Ok((arbiters, workers))
}

fn reporter(
    config: &Config,
    setup: &Setup,
    board: &Board,
    workers: &[ArbiterHandle],
    holders: Vec<Arc<Holder>>,
) -> Reporter {
    Reporter {
        board: board.clone(),
        stats_every: config.log.stats_every,
        workers: workers.iter().cloned().zip(holders).collect(),
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
    unknown: &Unknown,
) -> Supervisor {
    let (store, faults) = (Arc::clone(&setup.store), setup.faults.clone());
    let store = move || Ok(Started::new(Upkeep::new(Arc::clone(&store), faults.strike(Point::Store))));
    let supervisor = supervisor.child(STORE, store);
    let supervisor = match state {
        Some(state) => supervisor.child(STATE, move || {
            Ok(Started::new(Upkeep::new(StateThread(state.clone()), std::future::pending())))
        }),
        None => supervisor,
    };
    // The server serves its devices without it.
    let unknown = unknown.clone();
    let rejected = move || Ok(Started::new(Upkeep::new(unknown.clone(), std::future::pending())));
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
    workers: Vec<ArbiterHandle>,
    sessions: &Name<Sessions>,
) -> Supervisor {
    let (authority, faults) = (&setup.authority, setup.faults.clone());
    let (table, name) = (authority.table.clone(), authority.registry.clone());
    let registry = move || Ok(Started::named(Registry::new(table.clone(), faults.clone()), &name));
    let (open, name, faults) = (Arc::clone(&setup.open), sessions.clone(), setup.faults.clone());
    let sessions =
        move || Ok(Started::named(Sessions::new(workers.clone(), Arc::clone(&open), faults.clone()), &name));
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
