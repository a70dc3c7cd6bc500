//! Answers leave in the order of the frames, whenever the store and the look-up answer.

use std::sync::Arc;

use trap_server::credentials::Denied;
use trap_server::protocol::Mode;
use trap_server::server::Server;
use trap_server::stats::Ended;

use crate::ID;
use crate::common::late::{LateCredentials, LateStore, not_stored};
use crate::common::raw::{CONNECT, PING, Raw, auth, send, with_data};
use crate::common::{self, TestServer, eventually};

/// A server whose store takes its time, and a session on it.
async fn late_store(name: &str) -> (TestServer, LateStore, Raw) {
    let store = LateStore::default();
    let server = Server::bind(common::config(name)).unwrap().with_store(Arc::new(store.clone()));
    let server = TestServer::run(name, server);
    let mut raw = server.raw().await;
    raw.send(auth(ID)).await;
    raw.expect("auth_ok").await;
    (server, store, raw)
}

fn late_look_up(name: &str) -> (TestServer, LateCredentials) {
    let credentials = LateCredentials::default();
    let server = Server::bind(common::config(name)).unwrap().with_credentials(Arc::new(credentials.clone()));
    (TestServer::run(name, server), credentials)
}

#[tokio::test]
async fn a_word_waits_for_the_sends_before_it() {
    let (server, store, mut raw) = late_store("order").await;
    let frames = [&PING[..], &send(ID, "a"), &PING, &send("other", "b"), &send(ID, "c"), &CONNECT];
    raw.send(frames.concat()).await;
    raw.expect("pong").await;
    eventually("the store was asked", || store.records() == [b"a", b"c"]).await;
    // What the answer is, is decided only now: it cannot have left before.
    store.answer(Err(not_stored("no room"))).await;
    raw.expect("send_failurepongsend_failuresend_failureconnect_ok").await;
    raw.send([&send(ID, "d")[..], &PING].concat()).await;
    store.answer(Ok(())).await;
    raw.expect("send_okpong").await;
    assert_eq!((server.totals().stored, server.totals().not_stored), (1, 3));
    drop(raw);
    store.answer_all();
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_read_is_a_batch_and_batches_keep_their_order() {
    let (server, store, mut raw) = late_store("batches").await;
    raw.send([send(ID, "1"), send(ID, "2")].concat()).await;
    eventually("the first batch", || store.handed().len() == 1).await;
    raw.send([&send(ID, "3")[..], &PING].concat()).await;
    eventually("the third is read", || server.totals().frames == 5).await;
    raw.send(send(ID, "4")).await;
    eventually("the fourth is read", || server.totals().frames == 6).await;
    assert_eq!(store.records(), [b"1", b"2"], "one batch at a time");
    store.answer(Ok(())).await;
    raw.expect("send_oksend_ok").await;
    store.answer(Err(not_stored("no room"))).await;
    raw.expect("send_failurepongsend_failure").await;
    let batches: Vec<_> = store.handed().into_iter().map(|handed| handed.records).collect();
    assert_eq!(batches, [vec![b"1".to_vec(), b"2".to_vec()], vec![b"3".to_vec(), b"4".to_vec()]]);
    assert!(store.handed().iter().all(|handed| handed.client == ID && handed.mode == Mode::Session));
    drop(raw);
    store.answer_all();
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_word_that_closes_takes_its_place() {
    let endings = [
        (vec![0xc0], "protocol_error", Ended::ProtocolError),
        (auth("other"), "auth_failure", Ended::AuthFailure),
        (with_data(0x87, ID, "hello"), "protocol_error", Ended::ProtocolError),
    ];
    for (bytes, word, reason) in endings {
        let (server, store, mut raw) = late_store("endings").await;
        raw.send([&send(ID, "a")[..], &PING, &bytes, &PING, &send(ID, "behind")].concat()).await;
        eventually("the store was asked", || store.handed().len() == 1).await;
        store.answer(Ok(())).await;
        raw.expect_last(&format!("send_okpong{word}")).await;
        assert_eq!(store.records(), [b"a"], "nothing behind is used");
        drop(raw);
        store.answer_all();
        server.assert_nothing_is_left().await;
        assert_eq!(server.totals().ended(reason), 1);
    }
}

#[tokio::test]
async fn a_peer_that_half_closes_gets_its_pending_answers() {
    for (partial, reason) in [(&[][..], Ended::PeerClosed), (&[0x47, 0][..], Ended::Truncated)] {
        let (server, store, mut raw) = late_store("half-closes").await;
        raw.send([&send(ID, "a")[..], &PING, partial].concat()).await;
        raw.half_close().await;
        eventually("the store was asked", || store.handed().len() == 1).await;
        store.answer(Ok(())).await;
        raw.expect_last("send_okpong").await;
        eventually("it has ended", || server.totals().ended(reason) == 1).await;
        store.answer_all();
        server.assert_nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_one_shot_waits_for_the_store() {
    for (stored, answer) in [(Ok(()), "send_ok"), (Err(not_stored("no room")), "send_failure")] {
        let (server, store, raw) = late_store("one-shot-late").await;
        drop(raw);
        let mut raw = server.raw().await;
        raw.send([&PING[..], &with_data(0x87, ID, "hello"), &PING].concat()).await;
        raw.expect("pong").await;
        store.answer(stored).await;
        raw.expect_last(answer).await;
        let [handed] = &store.handed()[..] else { panic!("one batch, not {:?}", store.handed()) };
        assert_eq!((handed.mode, &handed.records[..]), (Mode::OneShot, &[b"hello".to_vec()][..]));
        store.answer_all();
        drop(raw);
        server.assert_nothing_is_left().await;
    }
}

#[tokio::test]
async fn everything_waits_for_the_look_up_of_an_auth() {
    let (server, credentials) = late_look_up("look-up");
    let mut raw = server.raw().await;
    raw.send([&PING[..], &auth(ID), &PING, &send(ID, "hello")].concat()).await;
    raw.expect("pong").await;
    eventually("the look-up", || credentials.asked() == [ID]).await;
    raw.send(CONNECT).await;
    assert_eq!(server.totals().frames, 2, "nothing behind the AUTH is decoded");
    assert!(!server.table.contains(ID));
    credentials.answer(Ok(())).await;
    raw.expect("auth_okpongsend_okconnect_ok").await;
    assert!(server.table.contains(ID));
    credentials.answer_all();
    drop(raw);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn nothing_behind_an_auth_that_is_refused_is_decoded() {
    let refusals = [Denied::Unknown, Denied::Unavailable("the store is away".into())];
    for refusal in refusals {
        let (server, credentials) = late_look_up("refused");
        let mut raw = server.raw().await;
        raw.send([&auth(ID)[..], &PING, &send(ID, "hello")].concat()).await;
        credentials.answer(Err(refusal)).await;
        raw.expect_last("auth_failure").await;
        assert_eq!(server.totals().frames, 1);
        assert_eq!(server.totals().not_stored, 0);
        credentials.answer_all();
        drop(raw);
        server.assert_nothing_is_left().await;
    }
}

#[tokio::test]
async fn everything_waits_for_the_look_up_of_a_one_shot() {
    for (known, answer) in [(Ok(()), "send_ok"), (Err(Denied::Unknown), "send_failure")] {
        let (server, credentials) = late_look_up("one-shot-look-up");
        let mut raw = server.raw().await;
        raw.send([&PING[..], &with_data(0x87, ID, "hello"), &PING].concat()).await;
        raw.expect("pong").await;
        raw.half_close().await;
        credentials.answer(known).await;
        raw.expect_last(answer).await;
        assert_eq!(server.totals().frames, 2);
        assert!(server.table.is_empty());
        credentials.answer_all();
        drop(raw);
        server.assert_nothing_is_left().await;
    }
}
