//! Actors that panic or block while devices are at work. Without the cargo feature `faults` nothing of this can be brought
//! about, and nothing of it is run.
#![cfg(feature = "faults")]

mod common;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use common::raw::{PING, auth, send};
use common::{Outcome, PATIENCE, TestServer, eventually, eventually_so, logs};
use tokio::task::{JoinHandle, JoinSet};
use trap_server::client::{Device, Error};
use trap_server::config::Config;
use trap_server::faults::{Fault, Point};
use trap_server::protocol::Reply;
use trap_server::server::Server;
use trap_server::stats::Ended;
use trap_server::supervisor::{ChildState, RestartChild};
use trap_server::uplink::store::{Batch, Origin, Store, Storing};

/// Devices at work in each test.
const LOAD: usize = 24;

/// A server whose log is not flooded with what the load sends.
fn server(listener: &str, change: impl FnOnce(&mut Config)) -> TestServer {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<String>();
            if !text.is_some_and(|text| text.starts_with("injected fault")) {
                hook(info);
            }
        }));
    });
    let mut config = common::config(listener);
    change(&mut config);
    TestServer::run(listener, Server::bind(config).unwrap().with_store(Arc::new(Sink)))
}

struct Sink;

impl Store for Sink {
    fn store(&self, _: &Origin, batch: &mut Batch) -> Storing {
        batch.clear();
        Storing::Now(Ok(()))
    }
}

/// Devices that ping and send all the time, and check every answer.
struct Load {
    devices: Vec<Worker>,
    enough: Arc<AtomicBool>,
}

struct Worker {
    task: JoinHandle<Result<(), Error>>,
    rounds: Arc<AtomicU64>,
}

impl Load {
    async fn start(server: &TestServer) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let mut devices = Vec::new();
        for number in 0..LOAD {
            let (device, rounds) = (server.authenticated(&format!("load{number}")).await, Arc::default());
            let task = tokio::spawn(work(device, Arc::clone(&rounds), Arc::clone(&enough)));
            devices.push(Worker { task, rounds });
        }
        let load = Self { devices, enough };
        load.goes_on().await;
        load
    }

    /// Waits until every device that is connected was answered again.
    async fn goes_on(&self) {
        let rounds = |worker: &Worker| worker.rounds.load(Ordering::Relaxed);
        let before: Vec<_> = self.devices.iter().map(rounds).collect();
        let went_on = || {
            self.devices
                .iter()
                .zip(&before)
                .all(|(worker, before)| worker.task.is_finished() || rounds(worker) > before + 1)
        };
        eventually("every device is answered", went_on).await;
    }

    /// Ends the work, and tells what went wrong.
    async fn finish(self) -> Vec<Error> {
        self.enough.store(true, Ordering::Relaxed);
        let mut errors = Vec::new();
        for worker in self.devices {
            errors.extend(worker.task.await.unwrap().err());
        }
        errors
    }
}

async fn work(mut device: Device, rounds: Arc<AtomicU64>, enough: Arc<AtomicBool>) -> Result<(), Error> {
    while !enough.load(Ordering::Relaxed) {
        device.ping().await?;
        device.send(b"some data").await?;
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Devices that all come at once, each served. The id of each is held by then, so that the registry has to decide.
async fn newcomers(address: SocketAddr, count: usize) {
    let mut coming = JoinSet::new();
    for number in 0..count {
        coming.spawn(async move {
            let id = format!("newcomer{number}");
            let mut older = Device::connect_within(PATIENCE, address).await?;
            older.auth(&id).await?;
            let mut device = Device::connect_within(PATIENCE, address).await?;
            device.auth(&id).await?;
            device.send(b"hello").await
        });
    }
    while let Some(served) = coming.join_next().await {
        served.unwrap().unwrap();
    }
}

async fn assert_restarted(listener: &str, child: &str, fault: &str) {
    let words = [listener, " ERROR ", child, " ended: ", fault, "restarting restart=1 limit="];
    eventually("the restart is in the log", || logs::has(&words)).await;
}

/// Injects `fault`, waits for the restart, and asserts that no device that is at work has noticed.
async fn assert_nobody_notices(listener: &str, fault: Point, child: &str) {
    let server = server(listener, |_| {});
    let load = Load::start(&server).await;
    server.faults.set(fault, Fault::Panic);
    newcomers(server.address, 100).await;
    assert_restarted(listener, child, &format!("it panicked: injected fault at {fault:?}")).await;
    newcomers(server.address, 100).await;
    load.goes_on().await;
    assert!((0..LOAD).all(|number| server.table.contains(&format!("load{number}"))));
    assert!(load.finish().await.is_empty());
    assert_eq!(server.totals().not_stored, 0);
    assert_eq!(server.totals().ended(Ended::Crashed), 0);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn nobody_notices_that_the_registry_crashed() {
    assert_nobody_notices("crash-registry", Point::Registry, "registry").await;
}

#[tokio::test]
async fn nobody_notices_that_the_registry_crashed_over_a_question() {
    assert_nobody_notices("crash-question", Point::RegistryQuestion, "registry").await;
}

#[tokio::test]
async fn nobody_notices_that_the_uplink_crashed() {
    assert_nobody_notices("crash-uplink", Point::Uplink, "uplink").await;
}

#[tokio::test]
async fn nobody_notices_that_a_listener_crashed() {
    assert_nobody_notices("crash-listener", Point::Listener, "listener crash-listener").await;
}

#[tokio::test]
async fn nobody_notices_that_an_acceptor_crashed() {
    assert_nobody_notices("crash-acceptor", Point::Acceptor, "listener crash-acceptor").await;
}

#[tokio::test]
async fn a_session_that_crashes_loses_its_own_device_only() {
    let server = server("crash-session", |_| {});
    let load = Load::start(&server).await;
    server.faults.set(Point::Session, Fault::Panic);
    eventually("a session has crashed", || server.totals().ended(Ended::Crashed) == 1).await;
    load.goes_on().await;
    eventually("its device knows", || load.devices.iter().any(|worker| worker.task.is_finished())).await;
    assert_eq!(server.table.len(), LOAD - 1);
    assert_eq!((server.open.count(), server.permits.in_use()), (LOAD - 1, LOAD - 1));
    assert!(logs::has(&[" ERROR ", "ended reason=crashed listener=crash-session ", "client=\"load"]));
    assert!(!logs::has(&["crash-session ERROR", "restarting"]));
    let errors = load.finish().await;
    assert!(matches!(errors[..], [Error::Io(_) | Error::Closed { .. }]), "{errors:?}");
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn nobody_notices_that_the_parent_of_the_sessions_crashed() {
    assert_nobody_notices("crash-sessions", Point::Sessions, "sessions").await;
}

#[tokio::test]
async fn nobody_notices_that_the_reporter_crashed() {
    assert_nobody_notices("crash-reporter", Point::Reporter, "reporter").await;
}

#[tokio::test]
async fn a_crash_is_reported_with_the_frame_and_without_its_data() {
    let server = server("crash-report", |_| {});
    let mut peer = server.raw().await;
    peer.send(auth("reported")).await;
    peer.expect("auth_ok").await;
    // The last one strikes first: the answer to the PING is still there when the SEND crashes.
    server.faults.set(Point::Frame, Fault::Panic);
    server.faults.set(Point::Frame, Fault::Block(Duration::ZERO));
    peer.send([&PING[..], &send("reported", "the secret")].concat()).await;
    peer.rest().await;
    let usual = format!("peer={} client=\"reported\" ", peer.address());
    let report = " phase=authenticated frame=Send length=22 unanswered=4";
    let words = [" ERROR ", "ended reason=crashed listener=crash-report ", &usual, report];
    eventually("it is reported", || logs::has(&words)).await;
    assert!(!logs::has(&["secret"]));
    assert_eq!(server.totals().ended(Ended::Crashed), 1);
    // One that has not said who it is yet.
    let mut peer = server.raw().await;
    server.faults.set(Point::Frame, Fault::Panic);
    peer.send(auth("new")).await;
    peer.rest().await;
    eventually("it is reported", || logs::has(&[" phase=new frame=Auth length=6 unanswered=0"])).await;
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn everything_crashes_again_and_again() {
    let server = server("crash-all", |_| {});
    let load = Load::start(&server).await;
    let listener = "listener crash-all";
    for round in 1..=20 {
        // One after the other: an AUTH survives one death of the registry, not two.
        for (point, child, times) in [
            (Point::Registry, "registry", 2),
            (Point::RegistryQuestion, "registry", 2),
            (Point::Uplink, "uplink", 1),
            (Point::Listener, listener, 2),
            (Point::Acceptor, listener, 2),
            (Point::Sessions, "sessions", 1),
            (Point::Reporter, "reporter", 1),
        ] {
            let before = server.child(child).await.restarts;
            server.faults.set(point, Fault::Panic);
            newcomers(server.address, 5).await;
            let restarted = async || server.child(child).await.restarts > before;
            eventually_so("it is restarted", restarted).await;
            assert!(before < round * times, "{child} was restarted more often than it crashed");
        }
    }
    load.goes_on().await;
    assert!(load.finish().await.is_empty());
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn an_auth_is_asked_once_more_every_time() {
    let server = server("question", |_| {});
    let mut device = server.authenticated("device").await;
    for _ in 0..100 {
        server.faults.set(Point::RegistryQuestion, Fault::Panic);
        let newer = server.authenticated("device").await;
        device.closed().await.unwrap();
        device = newer;
    }
    drop(device);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn an_auth_that_kills_the_registry_twice_is_refused() {
    let server = server("question-twice", |_| {});
    let load = Load::start(&server).await;
    let mut older = server.authenticated("deadly").await;
    server.faults.set(Point::RegistryQuestion, Fault::Panic);
    server.faults.set(Point::RegistryQuestion, Fault::Panic);
    let mut device = server.device().await;
    assert!(matches!(device.auth("deadly").await, Err(Error::Refused(Reply::AuthFailure))));
    device.closed().await.unwrap();
    let peer = format!("peer={} ", device.local_addr().unwrap());
    drop(device);
    let words = ["reason=auth_failure", "listener=question-twice", &peer, "restarted twice"];
    eventually("the refusal is in the log", || logs::has(&words)).await;
    older.ping().await.unwrap();
    drop(older);
    server.authenticated("harmless").await;
    assert!(load.finish().await.is_empty());
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn more_restarts_than_allowed_end_the_server_with_the_reason() {
    for (listener, point, child) in [
        ("gives-up-1", Point::Sessions, "sessions"),
        ("gives-up-2", Point::Registry, "registry"),
        ("gives-up-3", Point::Uplink, "uplink"),
    ] {
        let server = server(listener, |config| config.supervisor.max_restarts = 2);
        let mut device = server.authenticated("a").await;
        let restarts = || logs::lines(&[&format!("{listener} ERROR"), "restarting restart="]).len();
        for restart in 1..=2 {
            server.faults.set(point, Fault::Panic);
            eventually("it is restarted", || restarts() == restart).await;
            device.send(b"x").await.unwrap();
        }
        server.faults.set(point, Fault::Panic);
        device.closed().await.unwrap();
        drop(device);
        let outcome = server.ended();
        let Outcome::GaveUp(reason) = outcome else { panic!("{outcome:?}") };
        let cause = format!("{child} ended (it panicked: injected fault at {point:?})");
        assert!(reason.contains(&cause), "{reason}");
        assert!(reason.contains("restart limit exceeded (2 in "), "{reason}");
        assert!(logs::has(&[&format!("{listener} ERROR"), "the supervisor gives up", &cause]));
    }
}

#[tokio::test]
async fn a_listener_that_gives_up_leaves_the_others_alone() {
    let server = server("alone-1", |config| {
        config.supervisor.max_restarts = 2;
        let mut other = config.listeners[0].clone();
        other.name = "alone-2".into();
        config.listeners.push(other);
    });
    let load = Load::start(&server).await;
    let ids = ["listener alone-1", "listener alone-2"];
    let (mut failed, mut given_up) = (0, None);
    // Whichever of the two listeners strikes, until one has given up.
    while given_up.is_none() {
        failed += 1;
        server.faults.set(Point::Listener, Fault::Panic);
        let mut counts = [0; 2];
        eventually_so("one was restarted or has given up", async || {
            for (index, id) in ids.iter().enumerate() {
                let child = server.child(id).await;
                counts[index] = child.restarts;
                if child.state == ChildState::GaveUp {
                    given_up = Some(index);
                }
            }
            given_up.is_some() || counts.iter().sum::<u64>() == failed
        })
        .await;
    }
    let given_up = given_up.unwrap();
    let id = format!("listener alone-{}", given_up + 1);
    let words =
        [" ERROR ", &id, "gave up: it panicked: ", "restart limit exceeded (2 in 1h); retrying every 60s"];
    eventually("it is said", || logs::has(&words)).await;
    newcomers(server.addresses[1 - given_up], 100).await;
    load.goes_on().await;
    // A client of its own waits until it runs again.
    let address = server.addresses[given_up];
    let waiting = tokio::spawn(async move {
        let mut device = Device::connect_within(PATIENCE, address).await?;
        device.auth("waiting").await
    });
    server.supervisor.send(RestartChild(id.clone())).await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    assert!(logs::has(&[" INFO ", &id, "runs again after="]));
    assert!(load.finish().await.is_empty());
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_worker_that_stands_still_is_said_with_the_session_that_holds_it() {
    let server = server("stall", |config| config.server.workers = 1);
    let mut device = server.authenticated("blocker").await;
    server.faults.set(Point::Session, Fault::Block(Duration::from_secs(3)));
    device.ping().await.unwrap();
    let of = format!("peer={} client=\"blocker\"", device.local_addr().unwrap());
    let has = |words: &str| logs::has(&["stall ", words, &of]);
    eventually("it is said", || has("ERROR worker 0 stands still for=")).await;
    eventually("it is said", || has("WARN worker 0 goes on after=")).await;
    drop(device);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_stuck_session_does_not_keep_the_server_from_stopping() {
    // Two workers, one of them blocked: its sessions are cut off, the others end.
    let server = server("stuck", |config| config.server.shutdown = Duration::from_secs(5));
    let load = Load::start(&server).await;
    server.faults.set(Point::Session, Fault::Block(PATIENCE * 10));
    let outcome = tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    let Outcome::Stopped(stopped) = outcome else { panic!("{outcome:?}") };
    assert!(stopped.cut_off > 0);
    assert!(stopped.killed.is_empty(), "{stopped:?}");
    let ended = logs::lines(&["ended reason=shutdown listener=stuck "]).len();
    assert_eq!(ended + stopped.cut_off, LOAD);
    let ended = LOAD - stopped.cut_off;
    assert!(logs::has(&["stuck WARN", &format!("stopped {ended} sessions, cut off {} ", stopped.cut_off)]));
    load.devices.iter().for_each(|worker| worker.task.abort());
}
