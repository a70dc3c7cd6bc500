//! The tree: the threads of the sessions, and the children of the supervisor in the order of their start.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::watch;

use super::listeners::{Listeners, Site};
use super::reporter::{Reporter, Watched};
use super::{REJECTED, Running, Server};
use crate::access::Budget;
use crate::config::Config;
use crate::credentials::Current;
use crate::database::State;
use crate::faults::{Faults, Point};
use crate::listener::{Common, SharedLimits, Worker};
use crate::registry::{Registry, Table};
use crate::session::{self, Authority, Holder, Sessions, Setup};
use crate::stats::Board;
use crate::store::Store;
use crate::supervisor::{
    Background, ChildSpec, Intensity, Name, Started, Supervisor, Upkeep, Work, spawn, thread,
};

/// The ids of the children. Those of the listeners are in `listeners`.
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
        let (authenticator, watched) = (self.authenticator, watch::Sender::new(Watched::of(&self.config)));
        let credentials = Current::new(authenticator);
        let setup = setup(&self.config, &credentials, self.store, self.faults);
        let Self { config, listeners, lock, state, .. } = self;
        let holders: Vec<_> = (0..config.server.workers).map(|_| Arc::default()).collect();
        let (arbiters, workers) = start_workers(&holders, &setup)?;
        let (board, sessions) = (Board::default(), Name::new());
        let common = Common {
            workers: workers.iter().cloned().map(Worker::from).collect(),
            board: board.clone(),
            limits: SharedLimits::new(config.server.max_connections.unwrap_or(usize::MAX)),
            faults: setup.faults.clone(),
        };
        let site =
            Site { common: common.clone(), sessions: sessions.clone(), limit: config.supervisor.clone() };
        let intensity = Intensity::new(config.supervisor.max_restarts, config.supervisor.within);
        let (mut supervisor, gave_up) = Supervisor::new(intensity, config.supervisor.max_backoff);
        let reporter = reporter(watched.subscribe(), &setup, &common, holders);
        supervisor = with_data(supervisor, &config, &setup, state.clone(), &credentials);
        let reported = Arc::clone(&reporter.listeners);
        supervisor = with_services(supervisor, &config, &setup, reporter, workers, &sessions);
        let bases = listeners.into_iter().map(|(options, listening)| site.base(&options, listening));
        let bases: Vec<_> = bases.collect();
        supervisor = bases.iter().fold(supervisor, |supervisor, base| supervisor.with(site.child(base)));
        let (supervisor, link) = spawn(supervisor);
        let listeners = Arc::new(Listeners::new(site, supervisor.clone(), bases));
        reported.get_or_init(|| Arc::downgrade(&listeners));
        Ok(Running {
            listeners,
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
            state,
            credentials,
            store: setup.store,
            watched,
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
        holder: Arc::default(),
        authority: Arc::new(authority),
        store,
        budget: Budget::new(config.server.max_unanswered - strangers),
        strangers: Budget::new(strangers),
        open: Arc::default(),
        faults,
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
    watched: watch::Receiver<Watched>,
    setup: &Setup,
    common: &Common,
    holders: Vec<Arc<Holder>>,
) -> Reporter {
    Reporter {
        board: common.board.clone(),
        watched,
        workers: common.workers.iter().cloned().zip(holders).collect(),
        table: setup.authority.table.clone(),
        listeners: Arc::default(),
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
