//! Two sessions of one id.

use std::sync::Arc;

use trap_server::config::Duplicate;
use trap_server::server::Server;
use trap_server::stats::Ended;

use crate::ID;
use crate::common::late::LateStore;
use crate::common::raw::{PING, Raw, auth, send};
use crate::common::{self, TestServer, eventually, logs};

#[tokio::test]
async fn the_newer_session_takes_over() {
    let server = TestServer::start("takeover", |_| {});
    let mut older = authenticated(&server).await;
    let mut newer = authenticated(&server).await;
    assert_eq!(older.rest().await.0, b"", "the older session is told nothing");
    assert!(server.table.contains(ID));
    newer.send([&send(ID, "hello")[..], &PING].concat()).await;
    newer.expect("send_okpong").await;
    eventually("only the newer session is left", || server.totals().sessions == 1).await;
    assert_eq!(server.totals().ended(Ended::Takeover), 1);
    let (older_at, by) = (format!("peer={}", older.address()), format!("by {}", newer.address()));
    assert!(logs::has(&["ended reason=takeover listener=takeover", &older_at, &by]));
    drop((older, newer));
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn each_of_many_is_taken_over_once() {
    const SESSIONS: usize = 50;
    let server = TestServer::start("many", |_| {});
    let mut raws = Vec::new();
    for _ in 0..SESSIONS {
        let mut raw = server.raw().await;
        raw.send(auth(ID)).await;
        raws.push(raw);
    }
    eventually("one is left", || server.totals().ended(Ended::Takeover) == SESSIONS as u64 - 1).await;
    assert_eq!((server.table.len(), server.totals().sessions), (1, 1));
    drop(raws);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn the_older_session_stays_if_the_config_says_so() {
    let server = TestServer::start("reject", |config| config.session.duplicate = Duplicate::Reject);
    let mut older = authenticated(&server).await;
    let mut newer = server.raw().await;
    newer.send([&auth(ID)[..], &PING].concat()).await;
    newer.expect_last("auth_failure").await;
    older.send(send(ID, "hello")).await;
    older.expect("send_ok").await;
    older.half_close().await;
    older.expect_last("").await;
    eventually("the id is free", || !server.table.contains(ID)).await;
    authenticated(&server).await;
    server.assert_nothing_is_left().await;
    assert_eq!(server.totals().ended(Ended::AuthFailure), 1);
    assert_eq!(server.totals().ended(Ended::Takeover), 0);
}

#[tokio::test]
async fn a_takeover_drops_what_the_uplink_does_not_hold_and_nothing_else() {
    let store = LateStore::default();
    let server = Server::bind(common::config("pending")).unwrap().with_store(Arc::new(store.clone()));
    let server = TestServer::run("pending", server);
    let mut older = authenticated(&server).await;
    older.send([&send(ID, "held")[..], &PING].concat()).await;
    eventually("the uplink holds the first", || store.records() == [b"held"]).await;
    older.send(send(ID, "not held")).await;
    eventually("the second is read", || server.totals().frames == 4).await;

    let mut newer = authenticated(&server).await;
    assert_eq!(older.rest().await.0, b"", "the older session is told nothing");
    store.answer(Ok(())).await;
    newer.send(send(ID, "new")).await;
    store.answer(Ok(())).await;
    newer.expect("send_ok").await;
    assert_eq!(store.records(), [&b"held"[..], b"new"]);
    let (older_at, by) = (format!("peer={}", older.address()), format!("by {}", newer.address()));
    assert!(logs::has(&["ended reason=takeover listener=pending", &older_at, &by]));
    drop((older, newer));
    store.answer_all();
    server.assert_nothing_is_left().await;
}

async fn authenticated(server: &TestServer) -> Raw {
    let mut raw = server.raw().await;
    raw.send(auth(ID)).await;
    raw.expect("auth_ok").await;
    raw
}
