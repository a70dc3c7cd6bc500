//! Data up to the limit of a frame.

use std::sync::Arc;

use trap_server::protocol::MAX_DATA;
use trap_server::server::Server;
use trap_server::stats::Ended;

use crate::ID;
use crate::common::late::LateStore;
use crate::common::raw::{PING, auth, send, with_data};
use crate::common::{self, TestServer};
use crate::scenario::{self, MAX_FRAME};

fn some_data(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn the_most_data_is_stored_as_it_was_sent() {
    let store = LateStore::default();
    store.answer_all();
    let server = Server::bind(common::config("most")).unwrap().with_store(Arc::new(store.clone()));
    let server = TestServer::run("most", server);
    let data = some_data(MAX_DATA);
    let mut device = server.authenticated(ID).await;
    device.send(&data).await.unwrap();
    device.send(b"small").await.unwrap();
    server.device().await.send_once("other", &data).await.unwrap();
    assert!(store.records() == [data.as_slice(), b"small", data.as_slice()]);
    drop(device);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_limit_of_ones_own_holds_to_the_byte() {
    let server = scenario::server("limit");
    let mut raw = server.raw().await;
    raw.send(with_data(0x4a, "other", some_data(MAX_FRAME))).await;
    raw.expect("pub_failure").await;
    raw.send([auth(ID), send(ID, some_data(MAX_FRAME))].concat()).await;
    raw.expect("auth_oksend_ok").await;
    raw.send(&send(ID, some_data(MAX_FRAME + 1))[..3]).await;
    raw.expect_last("protocol_error").await;
    drop(raw);
    server.assert_nothing_is_left().await;
    assert_eq!(server.totals().ended(Ended::ProtocolError), 1);
}

#[tokio::test]
async fn the_data_of_a_new_session_is_skipped_as_it_comes() {
    let server = TestServer::start("skipped", |_| {});
    for (first, answer) in [(0x47, "send_failure"), (0x4a, "pub_failure"), (0x4e, "")] {
        let mut raw = server.raw().await;
        // All of it looks like frames.
        let frame = with_data(first, ID, [0x40; MAX_DATA]);
        for piece in frame.chunks(1000) {
            raw.send(piece).await;
        }
        raw.send(PING).await;
        raw.expect(&format!("{answer}pong")).await;
        raw.send([auth(ID), send(ID, "hello")].concat()).await;
        raw.expect("auth_oksend_ok").await;
    }
    server.assert_nothing_is_left().await;
    assert_eq!((server.totals().not_stored, server.totals().ignored_answers), (1, 1));
}
