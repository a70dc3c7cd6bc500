//! The tree: the threads of the sessions, and the children of the supervisor in the order of their start.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use log::info;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::{LISTENERS, REGISTRY, Running, Server, UPLINK};
use crate::access::{Budget, Permits, Places};
use crate::config::{self, Config};
use crate::faults::Faults;
use crate::listener::{Door, Journal, Listener, Worker};
use crate::registry::{Registry, Table};
use crate::session::{self, Authority, Setup};
use crate::stats::{Stats, Totals};
use crate::supervisor::{GaveUp, Intensity, Name, Started, Supervisor, spawn};
use crate::uplink::Uplink;

/// How long a session that closes waits for its peer to close too, unless that is more than half of a stop.
const LINGER: Duration = Duration::from_secs(1);

/// Connections that have not authenticated share this part of the memory for what is unanswered.
const STRANGERS: usize = 8;

impl Server {
    /// Starts the tree. It must be called within an actix system, and its thread runs everything but the sessions and
    /// their acceptors.
    pub fn start(self) -> io::Result<Running> {
        let Self { config, sockets, credentials, unknown, store, faults } = self;
        let addresses = addresses(&config, &sockets);
        let strangers = config.uplink.max_unanswered / STRANGERS;
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
            budget: Budget::new(config.uplink.max_unanswered - strangers),
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

/// A supervisor of the uplink and the registry, to which listeners are still to be added.
fn supervisor(config: &Config, setup: &Setup) -> (Supervisor, oneshot::Receiver<GaveUp>) {
    let intensity = Intensity::new(config.supervisor.max_restarts, config.supervisor.within);
    let (supervisor, gave_up) = Supervisor::new(intensity);
    let (store, faults) = (Arc::clone(&setup.store), setup.faults.clone());
    let supervisor =
        supervisor.child(UPLINK, move || Ok(Started::new(Uplink::new(Arc::clone(&store), faults.clone()))));
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
