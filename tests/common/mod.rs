//! A server on port 0 in this process, and what is needed to look at it. Each test file uses a part of this.
#![allow(dead_code, reason = "each test file is a crate of its own, and uses a part")]

pub mod late;
pub mod logs;
pub mod namespace;
pub mod raw;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix::Addr;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use trap_server::access::{Budget, Permits};
use trap_server::client::Device;
use trap_server::config::{ClientPattern, Config, StoreKind};
use trap_server::faults::Faults;
use trap_server::listener::Address;
use trap_server::registry::Table;
use trap_server::server::{Listeners, Running, Server, Stopped};
use trap_server::session::{OpenSessions, Sessions};
use trap_server::stats::{Board, Totals};
use trap_server::supervisor::{ChildInfo, Name, Supervisor, WhichChildren};

use self::raw::Raw;

/// The longest that a test waits for what must happen: much longer than it takes, so that a slow machine does not matter.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server in this process; dropped, it is stopped.
pub struct TestServer {
    /// The first listener's.
    pub address: SocketAddr,
    pub addresses: Vec<SocketAddr>,
    pub table: Table,
    pub open: Arc<OpenSessions>,
    pub budget: Budget,
    pub strangers: Budget,
    pub permits: Permits,
    pub faults: Faults,
    pub supervisor: Addr<Supervisor>,
    pub sessions: Name<Sessions>,
    pub stats: Board,
    pub listeners: Arc<Listeners>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Outcome>>,
}

/// How a server ended.
#[derive(Debug)]
pub enum Outcome {
    Stopped(Stopped),
    GaveUp(String),
}

/// A config for tests: every id may authenticate, SENDs are lines of the log, one listener of this name on a free port of the loopback.
pub fn config(listener: &str) -> Config {
    let mut config = Config::default();
    config.server.workers = 2;
    config.listeners[0].name = listener.into();
    config.listeners[0].bind = "127.0.0.1:0".parse().unwrap();
    config.listeners[0].max_connections = 5000;
    config.credentials.clients = vec![ClientPattern::try_from("*").unwrap()];
    config.store.kind = StoreKind::Log;
    config.log.stats_every = None;
    // Tests restart children often.
    config.supervisor.max_backoff = Duration::from_millis(10);
    config
}

impl TestServer {
    /// A server with the config of a test, changed by `change`.
    pub fn start(listener: &str, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(listener);
        change(&mut config);
        Self::run(listener, Server::bind(config).unwrap())
    }

    /// The same with a server that has more than a config.
    pub fn run(listener: &str, server: Server) -> Self {
        logs::capture();
        // Both ends of each connection are in this process.
        rlimit::increase_nofile_limit(u64::MAX).unwrap();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(listener.into()).spawn(move || {
            actix_rt::System::new().block_on(async move {
                let mut running = server.start().unwrap();
                tell.send(Self::probe(&running)).unwrap();
                tokio::select! {
                    _ = stopped => Outcome::Stopped(running.stop().await),
                    reason = running.gave_up() => {
                        running.stop().await;
                        Outcome::GaveUp(reason)
                    }
                }
            })
        });
        let mut server = told.recv_timeout(PATIENCE).unwrap();
        server.stop = Some(stop);
        server.thread = Some(thread.unwrap());
        server
    }

    fn probe(running: &Running) -> Self {
        Self {
            address: running.addresses()[0].ip().unwrap_or_else(|| SocketAddr::from(([0; 4], 0))),
            addresses: running.addresses().iter().filter_map(Address::ip).collect(),
            table: running.table().clone(),
            open: Arc::clone(running.open()),
            budget: running.budget().clone(),
            strangers: running.strangers().clone(),
            permits: running.permits()[0].clone(),
            faults: running.faults().clone(),
            supervisor: running.supervisor().clone(),
            sessions: running.sessions().clone(),
            stats: running.stats().clone(),
            listeners: Arc::clone(running.listeners()),
            stop: None,
            thread: None,
        }
    }

    pub fn totals(&self) -> Totals {
        self.stats.totals()
    }

    /// A child of the supervisor.
    pub async fn child(&self, id: &str) -> ChildInfo {
        let children = self.supervisor.send(WhichChildren).await.unwrap();
        children.into_iter().find(|child| child.id == id).unwrap()
    }

    /// A device that has not said anything yet.
    pub async fn device(&self) -> Device {
        Device::connect(self.address).await.unwrap().with_deadline(PATIENCE)
    }

    /// A peer that has sent nothing yet, and may send anything.
    pub async fn raw(&self) -> Raw {
        Raw::over(TcpStream::connect(self.address).await.unwrap())
    }

    /// A device with a session of this id.
    pub async fn authenticated(&self, id: &str) -> Device {
        let mut device = self.device().await;
        device.auth(id).await.unwrap();
        device
    }

    /// No session, no row, no permit is left, and a new device is served.
    pub async fn assert_nothing_is_left(&self) {
        eventually("all sessions have ended", || self.open.count() == 0).await;
        assert!(self.table.is_empty(), "{} rows are left", self.table.len());
        assert_eq!((self.permits.in_use(), self.budget.used(), self.strangers.used()), (0, 0, 0));
        assert_eq!((self.totals().sessions, self.totals().authenticated), (0, 0));
        let mut device = self.authenticated("the last one").await;
        device.send(b"still there?").await.unwrap();
    }

    /// Asks the server to stop, and does not wait for it.
    pub fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Stops the server and says how it went.
    pub fn stop(mut self) -> Outcome {
        self.end().unwrap()
    }

    /// Waits until the server has ended, by itself or because it was asked to.
    pub fn ended(mut self) -> Outcome {
        join(self.thread.take().unwrap())
    }

    fn end(&mut self) -> Option<Outcome> {
        self.ask_to_stop();
        Some(join(self.thread.take()?))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

/// Waits for a thread, within reason.
fn join<T>(thread: JoinHandle<T>) -> T {
    let start = Instant::now();
    while !thread.is_finished() {
        assert!(start.elapsed() < PATIENCE, "the server does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    thread.join().unwrap()
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_so(what, async || condition()).await;
}

/// The same for a condition that has to ask.
pub async fn eventually_so(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
