//! Limits on connections, through the socket: rates, sources, the whole server.

mod common;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::{PATIENCE, TestServer, eventually};
use tokio::task::JoinSet;
use trap_server::access::Excess;
use trap_server::client::{Device, Error};
use trap_server::config::Config;
use trap_server::stats::Refused;

fn server(listener: &str, change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(listener, change)
}

async fn is_refused(server: &TestServer) -> bool {
    let mut device = server.device().await;
    match device.auth("device").await {
        Ok(()) => false,
        Err(Error::Refused(reply)) => panic!("{reply}"),
        Err(_) => true,
    }
}

/// Devices that all come at once, and stay. Returns when each of them had its session.
async fn all_at_once(server: &TestServer, count: usize) -> Vec<Instant> {
    let mut coming = JoinSet::new();
    for number in 0..count {
        let address = server.address;
        coming.spawn(async move {
            let mut device = Device::connect_within(PATIENCE, address).await.unwrap();
            device.auth(&format!("device{number}")).await.unwrap();
            (Instant::now(), device)
        });
    }
    let devices = coming.join_all().await;
    devices.into_iter().map(|(at, _)| at).collect()
}

#[tokio::test]
async fn connections_beyond_the_rate_wait_for_their_turn() {
    const RATE: u32 = 50;
    let server = server("rate", |config| {
        config.listeners[0].connection_rate = Some(RATE);
        config.listeners[0].connection_burst = 5;
    });
    let start = Instant::now();
    let mut served = all_at_once(&server, 60).await;
    served.sort();
    // Never more than the burst, and the rate since the start. A slow machine is later, not earlier.
    for (number, at) in (1_u32..).zip(&served) {
        let most = 1.0 + 5.0 + (*at - start).as_secs_f64() * f64::from(RATE);
        assert!(f64::from(number) <= most, "{number} after {:?}", *at - start);
    }
    assert_eq!(server.totals().accepted, 60);
}

#[tokio::test]
async fn a_rate_that_refuses_closes_what_is_beyond_it_and_counts_it() {
    let server = server("refuse", |config| {
        config.listeners[0].connection_rate = Some(1);
        config.listeners[0].connection_burst = 2;
        config.listeners[0].connection_excess = Excess::Refuse;
    });
    let mut refused = 0;
    for _ in 0..10 {
        refused += u64::from(is_refused(&server).await);
    }
    assert!((1..=7).contains(&refused), "{refused}");
    assert_eq!(server.totals().refused(Refused::Rate), refused);
}

#[tokio::test]
async fn listeners_share_a_rate_by_its_name() {
    let server = server("shared", |config| {
        let one = &mut config.listeners[0];
        (one.connection_rate, one.connection_burst) = (Some(1), 9);
        (one.shared_rate, one.connection_excess) = (Some("both".into()), Excess::Refuse);
        let mut other = one.clone();
        other.name = "shared too".into();
        config.listeners.push(other);
    });
    let start = Instant::now();
    let mut admitted = 0;
    for number in 0..40 {
        let mut device = Device::connect(server.addresses[number % 2]).await.unwrap();
        admitted += u32::from(device.auth("device").await.is_ok());
    }
    let most = 10 + u32::try_from(start.elapsed().as_secs()).unwrap() + 1;
    assert!((10..=most).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn a_peer_that_sends_nothing_gives_its_turn_back() {
    let server = server("silent", |config| {
        let listener = &mut config.listeners[0];
        (listener.connection_rate, listener.connection_burst) = (Some(1), 1);
        listener.connection_excess = Excess::Refuse;
    });
    // One turn is kept by a silent peer, so that the one it gives back can be told from one that was earned.
    let silent = server.raw().await;
    eventually("it is accepted", || server.totals().accepted == 1).await;
    let mut kept = server.device().await;
    kept.auth("kept").await.unwrap();
    drop(silent);
    eventually("its session has ended", || server.totals().sessions == 1).await;
    assert!(!is_refused(&server).await);
}

#[tokio::test]
async fn a_source_has_so_many_connections_and_the_next_one_when_one_ends() {
    let server = server("source", |config| config.listeners[0].source_connections = Some(3));
    let mut devices = Vec::new();
    for number in 0..3 {
        devices.push(server.authenticated(&format!("device{number}")).await);
    }
    assert!(is_refused(&server).await);
    assert_eq!(server.totals().refused(Refused::SourceFull), 1);
    devices.pop();
    eventually("one has gone", || server.totals().sessions == 2).await;
    assert!(!is_refused(&server).await);
}

#[tokio::test]
async fn a_source_connects_so_often() {
    let server = server("often", |config| {
        (config.listeners[0].source_rate, config.listeners[0].source_burst) = (Some(1), 4);
    });
    let mut refused = 0;
    for _ in 0..20 {
        refused += u64::from(is_refused(&server).await);
    }
    assert!((1..=15).contains(&refused), "{refused}");
    assert_eq!(server.totals().refused(Refused::SourceRate), refused);
}

#[tokio::test]
async fn all_listeners_together_have_so_many_connections() {
    let server = server("whole", |config| {
        config.server.max_connections = Some(4);
        let mut other = config.listeners[0].clone();
        other.name = "whole too".into();
        config.listeners.push(other);
    });
    let mut devices = Vec::new();
    for number in 0..4 {
        let mut device = Device::connect(server.addresses[number % 2]).await.unwrap();
        device.auth(&format!("device{number}")).await.unwrap();
        devices.push(device);
    }
    assert!(is_refused(&server).await);
    assert_eq!(server.totals().refused(Refused::ServerFull), 1);
    devices.pop();
    eventually("one has gone", || server.totals().sessions == 3).await;
    assert!(!is_refused(&server).await);
}

/// Connections that are gone before they are accepted take no turn.
#[tokio::test]
async fn dead_sockets_in_the_backlog_take_no_turn() {
    // Bound before the server is there, so that clients wait in its backlog.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    for _ in 0..100 {
        drop(std::net::TcpStream::connect(address).unwrap());
    }
    let mut config = common::config("dead");
    config.listeners[0].bind = address.into();
    // With a turn each, the device would wait for more than a minute and a half.
    config.listeners[0].connection_rate = Some(1);
    let start = Instant::now();
    let inherited = vec![("dead".to_owned(), socket.into())];
    let server =
        TestServer::run("dead", trap_server::server::Server::with_sockets(config, inherited).unwrap());
    let mut device = Device::connect_within(PATIENCE, address).await.unwrap().with_deadline(PATIENCE);
    device.auth("device").await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!(server.totals().refused(Refused::Gone), 100);
}
