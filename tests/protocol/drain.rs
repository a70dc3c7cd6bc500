//! A server that stops.

use std::sync::Arc;

use trap_server::server::{Server, Stopped};

use crate::ID;
use crate::common::late::LateCredentials;
use crate::common::raw::{CONNECT, PING, auth};
use crate::common::{self, Outcome, TestServer};

#[tokio::test]
async fn received_frames_are_answered_and_connect_is_declined() {
    let mut config = common::config("drain");
    config.server.workers = 1;
    config.server.shutdown = common::PATIENCE;
    let credentials = LateCredentials::default();
    let server = Server::bind(config).unwrap().with_credentials(Arc::new(credentials.clone()));
    let mut server = TestServer::run("drain", server);
    let mut idle = server.raw().await;
    idle.send(CONNECT).await;
    idle.expect("connect_ok").await;
    let mut busy = server.raw().await;
    // What is behind the AUTH waits for the look-up.
    busy.send([&PING[..], &auth(ID), &CONNECT, &PING].concat()).await;
    busy.expect("pong").await;

    server.ask_to_stop();
    // Both sessions live on the one worker: the other knows that the server stops when this one has ended.
    idle.expect_last("").await;
    credentials.answer(Ok(())).await;
    busy.expect_last("auth_okconnect_failurepong").await;
    drop((idle, busy));
    let outcome = tokio::task::spawn_blocking(|| server.ended()).await.unwrap();
    assert!(matches!(outcome, Outcome::Stopped(stopped) if stopped == Stopped::default()));
}
