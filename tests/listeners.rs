//! Listeners that are added, removed, changed and paused while the server runs, and Unix sockets.

mod common;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::raw::{PING, Raw};
use common::{PATIENCE, TestServer, config, eventually, logs};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use trap_server::access::Rules;
use trap_server::client::Device;
use trap_server::listener::{Address, Options};
use trap_server::server::{ListenerError, Server};
use trap_server::stats::{Ended, Refused};

fn on_loopback(name: &str) -> Options {
    Options::new(name, SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn address(server: &TestServer, listener: &str) -> SocketAddr {
    server.listeners.address(listener).unwrap().ip().unwrap()
}

async fn device(address: SocketAddr, id: &str) -> Device {
    let mut device = Device::connect(address).await.unwrap().with_deadline(PATIENCE);
    device.auth(id).await.unwrap();
    device
}

#[tokio::test]
async fn a_listener_is_added_and_removed_and_keeps_its_counters() {
    let server = TestServer::start("first", |_| {});
    let mut kept = server.authenticated("kept").await;
    for round in 1..=2 {
        server.listeners.add(&on_loopback("second")).await.unwrap();
        let err = server.listeners.add(&on_loopback("second")).await.unwrap_err();
        assert!(matches!(err, ListenerError::Present(_)), "{err}");
        let address = address(&server, "second");
        let mut closed = device(address, "closed").await;
        assert_eq!(server.listeners.names(), ["first", "second"]);

        server.listeners.remove("second").await.unwrap();
        assert_eq!(timeout(PATIENCE, closed.next()).await.unwrap().unwrap(), None);
        TcpStream::connect(address).await.unwrap_err();
        let of_the_second = || server.stats.listener("second").unwrap();
        eventually("its session is closed", || of_the_second().ended(Ended::Closed) == round).await;
        assert_eq!((of_the_second().accepted, of_the_second().sessions), (round, 0));
    }
    let err = server.listeners.remove("second").await.unwrap_err();
    assert_eq!(err.to_string(), "no listener has the name \"second\"");
    kept.send(b"still there").await.unwrap();
    assert_eq!(server.stats.listener("first").unwrap().sessions, 1);
    drop(kept);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_listener_gets_another_address_while_its_sessions_go_on() {
    let server = TestServer::start("moved", |_| {});
    let mut before = server.authenticated("before").await;
    server.listeners.rebind(&on_loopback("moved")).await.unwrap();
    let now = address(&server, "moved");
    assert_ne!(now, server.address);
    TcpStream::connect(server.address).await.unwrap_err();
    let mut after = device(now, "after").await;
    before.ping().await.unwrap();
    after.ping().await.unwrap();

    // A failure changes nothing.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options::new("moved", taken.local_addr().unwrap());
    let err = server.listeners.rebind(&options).await.unwrap_err();
    assert!(err.to_string().contains("Another process has it"), "{err}");
    assert_eq!(address(&server, "moved"), now);
    drop(device(now, "another").await);
}

#[tokio::test]
async fn acceptors_come_and_go_and_no_client_is_refused() {
    for reuse_port in [false, true] {
        let name = if reuse_port { "sockets" } else { "acceptors" };
        let server = TestServer::start(name, |config| config.listeners[0].reuse_port = reuse_port);
        let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let load: Vec<_> = (0..4)
            .map(|_| {
                let (over, served, address) = (Arc::clone(&over), Arc::clone(&served), server.address);
                tokio::spawn(async move {
                    while !over.load(Ordering::Relaxed) {
                        let mut raw = Raw::over(TcpStream::connect(address).await.unwrap());
                        raw.send(PING).await;
                        raw.expect("pong").await;
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut options = Options { reuse_port, ..Options::new(name, server.address) };
        for acceptors in [1, 2, 1, 2, 1] {
            options.acceptors = acceptors;
            server.listeners.configure(&options).await.unwrap();
            let before = served.load(Ordering::Relaxed);
            eventually("clients are served", || served.load(Ordering::Relaxed) > before + 20).await;
        }
        over.store(true, Ordering::Relaxed);
        for task in load {
            task.await.unwrap();
        }
        server.assert_nothing_is_left().await;
    }
}

#[tokio::test]
async fn new_rules_and_limits_are_for_the_next_client() {
    let server = TestServer::start("ruled", |_| {});
    let _inside = server.authenticated("inside").await;
    let mut options = Options { max_connections: 1, ..Options::new("ruled", server.address) };
    server.listeners.configure(&options).await.unwrap();
    let mut refused = server.raw().await;
    refused.expect_last("").await;
    assert_eq!(server.totals().refused(Refused::Full), 1);
    options.max_connections = 100;
    options.access = Rules::parse(&["deny all"]).unwrap();
    server.listeners.configure(&options).await.unwrap();
    server.raw().await.expect_last("").await;
    assert_eq!(server.totals().refused(Refused::Denied), 1);
    // What a socket does not take changes nothing.
    options.access = Rules::default();
    options.socket.receive_buffer = Some(1 << 30);
    let err = server.listeners.configure(&options).await.unwrap_err().to_string();
    assert!(
        err.contains("receive_buffer = 1073741824 bytes: ") && err.contains("net.core.rmem_max"),
        "{err}"
    );
    server.raw().await.expect_last("").await;
    options.socket.receive_buffer = None;
    server.listeners.configure(&options).await.unwrap();
    drop(server.authenticated("welcome").await);
}

#[tokio::test]
async fn clients_of_a_paused_listener_wait() {
    let server = TestServer::start("paused", |_| {});
    let mut inside = server.authenticated("inside").await;
    server.listeners.pause("paused").unwrap();
    let mut waiting = server.raw().await;
    waiting.send(PING).await;
    inside.ping().await.unwrap();
    assert_eq!(server.totals().accepted, 1);
    server.listeners.resume("paused").unwrap();
    waiting.expect("pong").await;
    assert!(logs::has(&["listener paused paused"]) && logs::has(&["listener paused accepts clients again"]));
    assert!(matches!(server.listeners.pause("other"), Err(ListenerError::Unknown(_))));
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn a_pause_outlives_a_crash_of_the_listener() {
    use trap_server::faults::{Fault, Point};

    let server = TestServer::start("crashed-pause", |_| {});
    server.listeners.pause("crashed-pause").unwrap();
    let before = server.child("listener crashed-pause").await.restarts;
    server.faults.set(Point::Listener, Fault::Panic);
    let restarted = async || server.child("listener crashed-pause").await.restarts > before;
    common::eventually_so("it is restarted", restarted).await;
    let mut waiting = server.raw().await;
    waiting.send(PING).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.totals().accepted, 0);
    server.listeners.resume("crashed-pause").unwrap();
    waiting.expect("pong").await;
}

#[tokio::test]
async fn devices_on_a_unix_socket_are_processes_of_a_user() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trap.sock");
    let server = TestServer::start("local", |config| {
        config.listeners[0].bind = Address::Unix(path.clone());
    });
    let mut device = Device::connect_unix(PATIENCE, &path).await.unwrap();
    device.auth("local").await.unwrap();
    device.send(b"hello").await.unwrap();
    assert_eq!(device.server().unwrap(), format!("unix:{}", path.display()));
    let (uid, pid) = (rustix::process::geteuid().as_raw(), std::process::id());
    let peer = format!("peer=unix:uid={uid},pid={pid} client=\"local\"");
    eventually("it is in the log", || logs::has(&["authenticated listener=local", &peer])).await;
    assert!(logs::has(&["SEND listener=local", &peer]));
    drop(device);
    eventually("it has ended", || server.totals().ended(Ended::PeerClosed) == 1).await;
    assert!(logs::has(&["ended reason=peer_closed listener=local", &peer]));
    assert!(!half_closed(&path).await.is_empty());
    drop(server);
    assert!(!path.exists(), "the socket is removed at the stop");
}

/// The answer to a PING of a peer that closes its side at once.
async fn half_closed(path: &Path) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(&PING).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn a_server_takes_over_a_socket_that_is_bound_already() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // It waits in the backlog.
    let mut early = Raw::over(TcpStream::connect(address).await.unwrap());
    early.send(PING).await;
    let mut config = config("inherited");
    config.listeners[0].bind = "127.0.0.1:1".parse().unwrap();
    let server = Server::with_sockets(config, vec![("inherited".into(), socket.into())]).unwrap();
    let server = TestServer::run("inherited", server);
    assert_eq!(server.address, address);
    early.expect("pong").await;
}
