//! Parts that crash again and again.

use std::time::{Duration, Instant};

use trap_server::client::Device;
use trap_server::faults::{Fault, Point};
use trap_server::supervisor::{ChildSpec, ChildState, RestartChild, StartChild, Started};

use crate::common::{Outcome, PATIENCE, eventually, eventually_so, logs};
use crate::load::{Load, newcomers};
use crate::server;

#[tokio::test]
async fn a_child_that_cannot_start_writes_few_lines_and_affects_no_other() {
    let server = server("cannot-start", |_| {});
    let load = Load::start(&server).await;
    let (start, mut is_first) = (Instant::now(), true);
    let child = ChildSpec::new("hopeless", move || {
        if !std::mem::take(&mut is_first) {
            return Err("no socket".into());
        }
        Ok(Started::task(async {}))
    });
    server.supervisor.send(StartChild(child)).await.unwrap().unwrap();
    let restarted = async || server.child("hopeless").await.restarts >= 50;
    eventually_so("it is restarted often", restarted).await;
    load.goes_on().await;
    let lines = logs::lines(&["cannot-start ", " hopeless "]);
    // Two in a burst, and then one every two seconds.
    let most = 3 + start.elapsed().as_secs() / 2;
    assert!(lines.len() as u64 <= most, "{lines:#?}");
    assert!(
        lines[0].ends_with("hopeless ended: stopped; restarting restart=1 limit=\"1000 in 1h\" delay=0ms")
    );
    assert!(load.finish().await.is_empty());
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
            (Point::Store, "store", 1),
            (Point::Listener, listener, 2),
            (Point::Acceptor, listener, 2),
            (Point::Sessions, "sessions", 2),
            (Point::Clock, "sessions", 2),
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
async fn more_restarts_than_allowed_end_the_server_with_the_reason() {
    for (listener, point, child) in [
        ("gives-up-1", Point::Sessions, "sessions"),
        ("gives-up-2", Point::Registry, "registry"),
        ("gives-up-3", Point::Store, "store"),
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
        let cause = format!("{child} ended (panicked: injected fault at {point:?})");
        assert!(reason.contains(&cause), "{reason}");
        assert!(reason.contains("restart limit exceeded (2 in "), "{reason}");
        assert!(logs::has(&[&format!("{listener} ERROR"), "supervisor gives up", &cause]));
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
        [" ERROR ", &id, "gave up: panicked: ", "restart limit exceeded (2 in 1h); retrying every 60s"];
    eventually("it is logged", || logs::has(&words)).await;
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
async fn a_worker_that_lags_accepts_nothing_and_the_other_one_does() {
    let server = server("lag", |config| {
        config.server.workers = 2;
        config.listeners[0].acceptors = 2;
        config.server.max_lag = Some(Duration::from_millis(300));
    });
    let mut blocked = server.authenticated("blocked").await;
    server.faults.set(Point::Frame, Fault::Block(Duration::from_secs(3)));
    let pong = tokio::spawn(async move { blocked.ping().await.map(|()| blocked) });
    eventually("it is overloaded", || logs::has(&["worker ", "is overloaded lag="])).await;
    // As many as an acceptor takes in a row, and more.
    let others = tokio::time::timeout(Duration::from_secs(30), newcomers(server.address, 40));
    others.await.unwrap();
    let _blocked = pong.await.unwrap().unwrap();
    eventually("it has caught up", || logs::has(&["worker ", "accepts connections again lag="])).await;
    newcomers(server.address, 40).await;
}
