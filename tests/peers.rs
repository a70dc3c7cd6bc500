//! Peers that are silent, slow, rude or gone: each ends as the config says, for the reason that is counted, and leaves
//! nothing behind.

mod common;

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::late::LateStore;
use common::namespace::Namespace;
use common::raw::{PING, Raw, auth, send, with_data};
use common::{TestServer, eventually, logs};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use trap_server::server::Server;
use trap_server::stats::Ended;

const ID: &str = "client0012";

/// Soon, but not so soon that a slow machine is late with what should come before.
const SOON: Duration = Duration::from_secs(1);

async fn authenticated(server: &TestServer) -> Raw {
    let mut raw = server.raw().await;
    raw.send(auth(ID)).await;
    raw.expect("auth_ok").await;
    raw
}

/// One session ended, for this reason, and the log names it with the peer.
async fn assert_ended(server: &TestServer, listener: &str, peer: &Raw, reason: Ended) {
    eventually(&format!("a session ends: {reason}"), || server.totals().ended(reason) == 1).await;
    let peer = format!("peer={}", peer.address());
    let line = [format!("ended reason={reason} listener={listener}"), peer];
    assert!(logs::has(&line.each_ref().map(String::as_str)), "{line:?}");
}

#[tokio::test]
async fn a_silent_peer_has_until_the_auth_timeout() {
    let server = TestServer::start("silent", |config| config.session.auth_timeout = SOON);
    let since = Instant::now();
    let mut raw = server.raw().await;
    raw.expect_last("auth_failure").await;
    assert!(since.elapsed() >= SOON);
    drop(raw);
    server.assert_nothing_is_left().await;
    assert_eq!(server.totals().ended(Ended::AuthTimeout), 1);
}

#[tokio::test]
async fn half_a_frame_does_not_win_a_new_peer_time() {
    let halves = [
        vec![0x40],
        auth(ID)[..5].to_vec(),
        auth(ID)[..12].to_vec(),
        send(ID, "skipped")[..17].to_vec(),
        with_data(0x87, ID, "kept")[..17].to_vec(),
    ];
    let server = TestServer::start("half", |config| config.session.auth_timeout = SOON);
    for half in &halves {
        let since = Instant::now();
        let mut raw = server.raw().await;
        raw.send([&PING, &half[..]].concat()).await;
        raw.expect("pong").await;
        raw.expect_last("auth_failure").await;
        assert!(since.elapsed() >= SOON);
    }
    server.assert_nothing_is_left().await;
    assert_eq!(server.totals().ended(Ended::AuthTimeout), halves.len() as u64);
}

#[tokio::test]
async fn half_a_frame_of_a_session_has_until_the_frame_timeout() {
    let halves = [vec![0x40], send(ID, "hello")[..10].to_vec(), send(ID, "hello")[..17].to_vec()];
    let server = TestServer::start("frame", |config| {
        config.session.frame_timeout = SOON;
        config.session.idle_timeout = None;
    });
    for half in &halves {
        let mut raw = authenticated(&server).await;
        let since = Instant::now();
        raw.send([&send(ID, "whole")[..], half].concat()).await;
        raw.expect_last("send_okprotocol_error").await;
        assert!(since.elapsed() >= SOON);
    }
    server.assert_nothing_is_left().await;
    assert_eq!(server.totals().ended(Ended::FrameTimeout), halves.len() as u64);
}

#[tokio::test]
async fn an_idle_session_is_closed_without_a_word() {
    let server = TestServer::start("idle", |config| config.session.idle_timeout = Some(SOON));
    let mut raw = authenticated(&server).await;
    let since = Instant::now();
    raw.send(PING).await;
    raw.expect("pong").await;
    raw.expect_last("").await;
    assert!(since.elapsed() >= SOON);
    assert_ended_after_close(&server, "idle", raw, Ended::IdleTimeout).await;
    server.assert_nothing_is_left().await;
}

/// The server lingers until the peer has closed too.
async fn assert_ended_after_close(server: &TestServer, listener: &str, mut raw: Raw, reason: Ended) {
    raw.half_close().await;
    assert_ended(server, listener, &raw, reason).await;
}

#[tokio::test]
async fn a_session_without_an_idle_timeout_outlives_every_clock() {
    let server = TestServer::start("patient", |config| {
        config.session.auth_timeout = SOON;
        config.session.frame_timeout = SOON;
        config.session.write_timeout = SOON;
    });
    let mut patient = authenticated(&server).await;
    // All clocks of the patient one are over when that of a later one is.
    let mut silent = server.raw().await;
    silent.expect_last("auth_failure").await;
    patient.send(send(ID, "hello")).await;
    patient.expect("send_ok").await;
    drop((patient, silent));
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_reset_and_the_kernel_keeps_nothing() {
    let server = TestServer::start("deaf", |config| config.session.write_timeout = SOON);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.address.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut stream = TcpStream::from_std(socket.into()).unwrap();
    let local = stream.local_addr().unwrap();
    stream.write_all(&auth(ID)).await.unwrap();
    // Their answers are more than the kernel takes, and so the server ends this, not the end of the PINGs.
    let pings = PING.repeat(64 * 1024);
    let failed = timeout(common::PATIENCE, async {
        loop {
            if let Err(err) = stream.write_all(&pings).await {
                return err;
            }
        }
    });
    let failed = failed.await.expect("the server ends it");
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    let mut raw = Raw::over(stream);
    assert_ended(&server, "deaf", &raw, Ended::WriteTimeout).await;
    assert!(raw.rest().await.0.starts_with(b"auth_okpongpong"));
    assert!(!kernel_knows(server.address.port(), local.port()), "the kernel has kept the socket");
    server.assert_nothing_is_left().await;
}

/// Whether a socket of this machine connects these ports.
fn kernel_knows(local: u16, remote: u16) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ports = [local, remote].map(|port| format!(":{port:04X}"));
    sockets.lines().skip(1).any(|line| {
        let addresses = line.split_whitespace().skip(1);
        addresses.zip(&ports).all(|(address, port)| address.ends_with(port))
    })
}

#[tokio::test]
async fn a_peer_that_resets() {
    let server = TestServer::start("rude", |_| {});
    for half in [&[][..], &[0x47], &send("other", "hello")[..12]] {
        let mut raw = authenticated(&server).await;
        let mut new = server.raw().await;
        for raw in [&mut raw, &mut new] {
            raw.send([&PING, half].concat()).await;
            raw.expect("pong").await;
            SockRef::from(raw.stream()).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop((raw, new));
        eventually("both have ended", || server.open.count() == 0).await;
    }
    server.assert_nothing_is_left().await;
    assert_eq!(server.totals().ended(Ended::Reset), 6);
}

#[tokio::test]
async fn a_peer_that_resets_while_it_is_answered() {
    let server = TestServer::start("ruder", |_| {});
    let mut raw = authenticated(&server).await;
    let pings = PING.repeat(100_000);
    raw.send(&pings).await;
    raw.expect("pong").await;
    SockRef::from(raw.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(raw);
    eventually("it has ended", || server.totals().ended(Ended::Reset) == 1).await;
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_peer_that_vanishes() {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(why) => {
            eprintln!("SKIPPED a_peer_that_vanishes: it needs a network namespace (root, and `ip`): {why}");
            return;
        }
    };
    let mut config = common::config("gone");
    config.listeners[0].bind = SocketAddr::from((namespace.address, 0)).into();
    config.listeners[0].keepalive = Some(Duration::from_secs(1));
    let store = LateStore::default();
    let server = Server::bind(config).unwrap().with_store(Arc::new(store.clone()));
    let server = TestServer::run("gone", server);
    let peers = [Peer::start(&namespace, &server, "idle"), Peer::start(&namespace, &server, "waiting")];
    eventually("the peers are there", || server.table.len() == 2).await;
    let [_, Peer(waiting)] = &peers;
    waiting.stdin.as_ref().unwrap().write_all(b"hello\n").unwrap();
    eventually("the store was asked", || store.records() == [b"hello"]).await;
    namespace.silence();
    // One peer does not answer probes, the other does not acknowledge this.
    store.answer(Ok(())).await;
    eventually("they are given up", || server.totals().ended(Ended::Vanished) == 2).await;
    for client in ["client=\"idle\"", "client=\"waiting\""] {
        assert!(logs::has(&["ended reason=vanished listener=gone", client]));
    }
    drop(peers);
    // The last check comes from this end.
    store.answer_all();
    server.assert_nothing_is_left().await;
}

/// `trap-client` at the far end, as long as this lives.
struct Peer(Child);

impl Peer {
    fn start(namespace: &Namespace, server: &TestServer, id: &str) -> Self {
        let mut command = namespace.command(env!("CARGO_BIN_EXE_trap-client"));
        let host = server.address.ip().to_string();
        let port = server.address.port().to_string();
        command.args(["--host", &host, "--port", &port, "--id", id, "--timeout", "60s"]);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
