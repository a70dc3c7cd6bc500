//! What is asked of the parent of all sessions: to list, to close, to configure them.

mod common;

use std::time::Duration;

use common::{TestServer, eventually, eventually_so};
use trap_server::client::Device;
use trap_server::config::Config;
use trap_server::protocol::ClientId;
use trap_server::session::{CloseSessions, Configure, ListSessions, SessionInfo, Which};
use trap_server::stats::Ended;

fn client(id: &str) -> ClientId {
    ClientId::try_from(id).unwrap()
}

async fn list(server: &TestServer, which: Which) -> Vec<SessionInfo> {
    server.sessions.call(|| ListSessions(which.clone())).await.unwrap()
}

async fn close(server: &TestServer, which: Which) -> Vec<Option<ClientId>> {
    let closed = server.sessions.call(|| CloseSessions(which.clone())).await.unwrap();
    let mut ids: Vec<_> = closed.into_iter().map(|session| session.client).collect();
    ids.sort_by_key(|id| id.as_ref().map(ToString::to_string));
    ids
}

/// With a second listener, whose name is that of the first with "-2" behind it.
fn two_listeners(config: &mut Config) {
    let mut second = config.listeners[0].clone();
    second.name.push_str("-2");
    config.listeners.push(second);
}

#[tokio::test]
async fn sessions_are_listed_as_they_are() {
    let server = TestServer::start("list", two_listeners);
    assert_eq!(list(&server, Which::All).await, []);
    let mut device = server.authenticated("a").await;
    device.ping().await.unwrap();
    let mut stranger = Device::connect(server.addresses[1]).await.unwrap();
    stranger.ping().await.unwrap();
    assert_eq!(list(&server, Which::All).await.len(), 2);
    let [listed] = &list(&server, Which::Client(client("a"))).await[..] else { panic!() };
    assert_eq!(
        (listed.client.as_ref(), listed.peer),
        (Some(&client("a")), device.local_addr().unwrap().into())
    );
    assert_eq!((&*listed.listener, listed.phase, listed.frames), ("list", "authenticated", 2));
    assert_eq!((listed.unanswered, listed.paused), (0, None));
    let [listed] = &list(&server, Which::Listener("list-2".into())).await[..] else { panic!() };
    assert_eq!((listed.client.as_ref(), listed.peer), (None, stranger.local_addr().unwrap().into()));
    assert_eq!((listed.phase, listed.frames), ("new", 1));
    // No other session was affected.
    device.ping().await.unwrap();
    drop((device, stranger));
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn one_session_is_closed_by_its_id_and_no_other() {
    let server = TestServer::start("close-one", |_| {});
    let mut closed = server.authenticated("a").await;
    let mut other = server.authenticated("b").await;
    assert_eq!(close(&server, Which::Client(client("nobody"))).await, []);
    assert_eq!(close(&server, Which::Client(client("a"))).await, [Some(client("a"))]);
    closed.closed().await.unwrap();
    drop(closed);
    eventually("it has ended", || server.totals().ended(Ended::Closed) == 1).await;
    other.ping().await.unwrap();
    // The id is free.
    server.authenticated("a").await.ping().await.unwrap();
    drop(other);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn all_sessions_of_a_listener_are_closed() {
    let server = TestServer::start("close-all", two_listeners);
    let mut stays = server.authenticated("stays").await;
    let mut closed = Vec::new();
    for number in 0..50 {
        let mut device = Device::connect(server.addresses[1]).await.unwrap();
        device.auth(&format!("device{number}")).await.unwrap();
        closed.push(device);
    }
    assert_eq!(close(&server, Which::Listener("close-all-2".into())).await.len(), 50);
    for mut device in closed {
        device.closed().await.unwrap();
    }
    stays.ping().await.unwrap();
    assert_eq!(close(&server, Which::All).await, [Some(client("stays"))]);
    stays.closed().await.unwrap();
    drop(stays);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn settings_that_are_replaced_hold_for_sessions_that_are_open() {
    let server = TestServer::start("configure", |_| {});
    let mut device = server.authenticated("a").await;
    let mut settings = common::config("configure").session;
    settings.max_frame = 4;
    settings.idle_timeout = Some(Duration::from_millis(100));
    server.sessions.call(|| Configure(settings.clone())).await.unwrap();
    // Each worker takes them in when it comes to it.
    let refused = async || device.send(b"too long").await.is_err();
    eventually_so("the frame is too long", refused).await;
    let mut idle = server.authenticated("b").await;
    idle.closed().await.unwrap();
    drop((device, idle));
    eventually("it was idle", || server.totals().ended(Ended::IdleTimeout) == 1).await;
}
