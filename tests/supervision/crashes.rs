//! Parts that crash once: no session is affected.

use std::time::Duration;

use trap_server::client::Error;
use trap_server::faults::{Fault, Point};
use trap_server::protocol::Reply;
use trap_server::stats::Ended;

use crate::common::{eventually, eventually_so, logs};
use crate::load::{LOAD, Load, newcomers};
use crate::server;

async fn assert_restarted(listener: &str, child: &str, fault: &str) {
    let words = [listener, " ERROR ", child, " ended: ", fault, "restarting restart=1 limit="];
    eventually("the restart is in the log", || logs::has(&words)).await;
}

/// Injects `fault`, waits for the restart, and asserts that no device that is at work has noticed.
async fn assert_no_session_is_affected(listener: &str, fault: Point, child: &str) {
    let server = server(listener, |_| {});
    let load = Load::start(&server).await;
    server.faults.set(fault, Fault::Panic);
    newcomers(server.address, 100).await;
    assert_restarted(listener, child, &format!("panicked: injected fault at {fault:?}")).await;
    newcomers(server.address, 100).await;
    load.goes_on().await;
    assert!((0..LOAD).all(|number| server.table.contains(&format!("load{number}"))));
    assert!(load.finish().await.is_empty());
    assert_eq!(server.totals().not_stored, 0);
    assert_eq!(server.totals().ended(Ended::Crashed), 0);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_crash_of_the_registry_affects_no_session() {
    assert_no_session_is_affected("crash-registry", Point::Registry, "registry").await;
}

#[tokio::test]
async fn a_crash_of_the_registry_on_a_request_affects_no_session() {
    assert_no_session_is_affected("crash-question", Point::RegistryQuestion, "registry").await;
}

#[tokio::test]
async fn a_crash_of_the_store_affects_no_session() {
    assert_no_session_is_affected("crash-store", Point::Store, "store").await;
}

#[tokio::test]
async fn a_crash_of_a_listener_affects_no_session() {
    assert_no_session_is_affected("crash-listener", Point::Listener, "listener crash-listener").await;
}

#[tokio::test]
async fn a_crash_of_an_acceptor_affects_no_session() {
    assert_no_session_is_affected("crash-acceptor", Point::Acceptor, "listener crash-acceptor").await;
}

#[tokio::test]
async fn a_crash_of_the_parent_of_the_sessions_affects_no_session() {
    assert_no_session_is_affected("crash-sessions", Point::Sessions, "sessions").await;
}

#[tokio::test]
async fn a_crash_of_the_timer_of_a_worker_affects_no_session() {
    assert_no_session_is_affected("crash-clock", Point::Clock, "sessions").await;
}

#[tokio::test]
async fn deadlines_of_sessions_outlive_the_timers() {
    let server = server("crash-clocks", |config| {
        config.session.idle_timeout = Some(Duration::from_millis(300));
        config.session.auth_timeout = Duration::from_millis(300);
    });
    for point in [Point::Sessions, Point::Clock] {
        let mut waiting = (server.authenticated("waits").await, server.raw().await);
        let before = server.child("sessions").await.restarts;
        server.faults.set(point, Fault::Panic);
        let restarted = async || server.child("sessions").await.restarts > before;
        eventually_so("it is restarted", restarted).await;
        waiting.0.closed().await.unwrap();
        waiting.1.rest().await;
    }
    let ended = |reason| server.totals().ended(reason);
    let all = || (ended(Ended::IdleTimeout), ended(Ended::AuthTimeout)) == (2, 2);
    eventually("all deadlines were reached", all).await;
}

#[tokio::test]
async fn a_crash_of_the_reporter_affects_no_session() {
    assert_no_session_is_affected("crash-reporter", Point::Reporter, "reporter").await;
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
