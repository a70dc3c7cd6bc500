//! Two sessions of one id.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use trap_server::config::Duplicate;
use trap_server::server::Server;
use trap_server::stats::Ended;
use trap_server::store::{Batch, NotStored, OriginRef, Store, StoreNow, Turn};

use crate::ID;
use crate::common::late::LateStore;
use crate::common::raw::{PING, Raw, auth, send};
use crate::common::{self, PATIENCE, TestServer, eventually, logs};

#[tokio::test]
async fn the_newer_session_takes_over() {
    let server = TestServer::start("takeover", |_| {});
    let mut older = authenticated(&server).await;
    let mut newer = authenticated(&server).await;
    assert_eq!(older.rest().await.0, b"", "the older session ends without a word");
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
async fn a_takeover_drops_what_the_store_does_not_hold_and_nothing_else() {
    let store = LateStore::default();
    let server = Server::bind(common::config("pending")).unwrap().with_store(Arc::new(store.clone()));
    let server = TestServer::run("pending", server);
    let mut older = authenticated(&server).await;
    older.send([&send(ID, "held")[..], &PING].concat()).await;
    eventually("the store holds the first", || store.records() == [b"held"]).await;
    older.send(send(ID, "not held")).await;
    eventually("the second is read", || server.totals().frames == 4).await;

    let mut newer = authenticated(&server).await;
    assert_eq!(older.rest().await.0, b"", "the older session ends without a word");
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

/// Remembers which session each record came from, in the order in which it was given them.
#[derive(Clone, Default)]
struct Runs(Arc<Mutex<Vec<u32>>>);

impl Store for Runs {
    fn now(&self) -> Option<&dyn StoreNow> {
        Some(self)
    }

    fn take(&self, _: Turn<'_>) {}
}

impl StoreNow for Runs {
    fn store_now(&self, _: OriginRef<'_>, batch: &Batch) -> Result<(), NotStored> {
        let sessions = batch.iter().map(|data| u32::from_be_bytes(data.try_into().unwrap()));
        self.0.lock().unwrap().extend(sessions);
        Ok(())
    }
}

/// Each session sends its number, again and again, until the next one has taken over. `TRAP_TAKEOVERS` asks for more of them.
#[tokio::test]
async fn nothing_of_an_older_session_is_stored_behind_a_newer_one() {
    const RACERS: u32 = 8;
    let takeovers = std::env::var("TRAP_TAKEOVERS").map_or(4000, |text| text.parse().unwrap());
    let store = Runs::default();
    let server = Server::bind(common::config("race")).unwrap().with_store(Arc::new(store.clone()));
    let server = Arc::new(TestServer::run("race", server));
    let mut racers = JoinSet::new();
    for racer in 0..RACERS {
        let server = Arc::clone(&server);
        racers.spawn(async move {
            for session in (racer..takeovers).step_by(RACERS as usize) {
                // The next one may take over at any moment.
                let sends = send(ID, session.to_be_bytes()).repeat(20);
                let mut stream = TcpStream::connect(server.address).await.unwrap();
                let _ = stream.write_all(&[&auth(ID)[..], &sends].concat()).await;
                let _ = timeout(PATIENCE, stream.read(&mut [0; 100])).await.unwrap();
                let _ = stream.write_all(&sends).await;
            }
        });
    }
    racers.join_all().await;
    eventually("all have ended", || server.open.count() == 0).await;
    let mut runs = store.0.lock().unwrap().clone();
    runs.dedup();
    let mut sessions = runs.clone();
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(runs.len(), sessions.len(), "rows of an older session stand behind those of a newer one");
    assert!(sessions.len() > 100, "only {} sessions stored something", sessions.len());
}

#[tokio::test]
async fn a_device_that_has_closed_does_not_keep_its_id_while_its_answer_is_due() {
    let store = LateStore::default();
    let mut config = common::config("left");
    config.session.duplicate = Duplicate::Reject;
    let server = Server::bind(config).unwrap().with_store(Arc::new(store.clone()));
    let server = TestServer::run("left", server);
    let mut older = authenticated(&server).await;
    older.send(send(ID, "held")).await;
    eventually("the store holds it", || store.records() == [b"held"]).await;
    older.half_close().await;
    let mut refused = 0;
    let mut newer = loop {
        let mut newer = server.device().await;
        if newer.auth(ID).await.is_ok() {
            break newer;
        }
        // That the older one has closed had not been seen by then.
        refused += 1;
        assert!(refused < 1000, "the id is kept");
    };
    store.answer_all();
    newer.send(b"new").await.unwrap();
    assert_eq!(store.records(), [&b"held"[..], b"new"]);
    drop((older, newer));
    server.assert_nothing_is_left().await;
}

async fn authenticated(server: &TestServer) -> Raw {
    let mut raw = server.raw().await;
    raw.send(auth(ID)).await;
    raw.expect("auth_ok").await;
    raw
}
