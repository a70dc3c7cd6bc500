//! Many devices: above the limits, with duplicate ids, and with denied addresses.

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use common::{Outcome, PATIENCE, TestServer, eventually, logs};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use trap_server::access::Rules;
use trap_server::client::{Device, Error};
use trap_server::config::{Duplicate, Listener};
use trap_server::protocol::Reply;
use trap_server::server::{Server, Stopped};
use trap_server::stats::{Ended, Refused};

const MANY: usize = 1000;

/// Devices that all connected at the same time, each with an id of its own.
async fn many(server: &TestServer) -> Vec<Device> {
    let mut coming = JoinSet::new();
    for number in 0..MANY {
        let address = server.address;
        coming.spawn(async move {
            let mut device = Device::connect_within(PATIENCE, address).await.unwrap();
            device.auth(&format!("device{number}")).await.unwrap();
            device
        });
    }
    coming.join_all().await
}

#[tokio::test]
async fn a_thousand_devices_connect_at_the_same_time_and_leave() {
    let server = TestServer::start("thousand", |_| {});
    let mut devices = many(&server).await;
    assert_eq!(server.table.len(), MANY);
    assert!((0..MANY).all(|number| server.table.contains(&format!("device{number}"))));
    assert_eq!((server.open.count(), server.permits.in_use()), (MANY, MANY));
    assert_eq!((server.totals().sessions, server.totals().authenticated), (MANY as u64, MANY as u64));
    for device in &mut devices {
        device.send(b"x").await.unwrap();
    }
    assert_eq!(server.totals().stored, MANY as u64);
    drop(devices);
    let gone = || server.totals().ended(Ended::PeerClosed) == MANY as u64;
    eventually("every session has ended in peace", gone).await;
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_stop_with_a_thousand_sessions_cuts_none_off() {
    let server = TestServer::start("thousand-stop", |config| config.server.shutdown = PATIENCE);
    let devices = many(&server).await;
    let address = server.address;
    let (stopped, mut devices) = tokio::join!(
        tokio::task::spawn_blocking(|| server.stop()),
        tokio::spawn(async {
            let mut gone = JoinSet::new();
            for mut device in devices {
                gone.spawn(async move { device.closed().await.map(|()| device).unwrap() });
            }
            gone.join_all().await
        })
    );
    let Outcome::Stopped(stopped) = stopped.unwrap() else { panic!("it gave up") };
    assert_eq!(stopped, Stopped { cut_off: 0, killed: Vec::new() });
    assert_eq!(devices.as_mut().unwrap().len(), MANY);
    assert!(logs::has(&["thousand-stop INFO", &format!("stopped {MANY} sessions")]));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_older_session_ends_without_a_word_and_leaves_the_newer_one_alone() {
    let server = TestServer::start("takeover", |_| {});
    let mut older = server.authenticated("twin").await;
    let mut newer = server.authenticated("twin").await;
    older.closed().await.unwrap();
    let peers = (older.local_addr().unwrap().to_string(), newer.local_addr().unwrap().to_string());
    drop(older);
    eventually("the older session has ended", || server.open.count() == 1).await;
    assert!(server.table.contains("twin"));
    newer.send(b"x").await.unwrap();
    let ended = logs::lines(&["reason=takeover", "listener=takeover "]);
    let [line] = &ended[..] else { panic!("{ended:?}") };
    assert!(line.contains(&format!("peer={} ", peers.0)), "{line}");
    assert!(line.contains(&format!("by {}\"", peers.1)), "{line}");
    assert!(line.contains("client=\"twin\""), "{line}");
    assert_eq!(server.totals().ended(Ended::Takeover), 1);
    drop(newer);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn of_many_that_want_one_id_one_has_it() {
    let server = TestServer::start("twins", |_| {});
    let mut coming = JoinSet::new();
    for _ in 0..50 {
        let address = server.address;
        coming.spawn(async move {
            let mut device = Device::connect_within(PATIENCE, address).await.unwrap();
            // A session that was taken over before its answer left is closed without one.
            let _ = device.auth("twin").await;
            device
        });
    }
    let devices = coming.join_all().await;
    eventually("one session is left", || server.open.count() == 1).await;
    assert_eq!(server.table.len(), 1);
    assert_eq!(server.totals().ended(Ended::Takeover), 49);
    drop(devices);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn with_reject_the_newer_one_is_refused() {
    let server = TestServer::start("reject", |config| config.session.duplicate = Duplicate::Reject);
    let mut older = server.authenticated("twin").await;
    let mut newer = server.device().await;
    assert!(matches!(newer.auth("twin").await, Err(Error::Refused(Reply::AuthFailure))));
    newer.closed().await.unwrap();
    older.send(b"x").await.unwrap();
    drop((older, newer));
    server.assert_nothing_is_left().await;
}

/// Asserts that the server closes without a word.
async fn assert_turned_away(device: &mut Device) {
    match device.closed().await {
        Ok(()) => {}
        Err(Error::Io(_)) => {}
        Err(err) => panic!("{err}"),
    }
}

#[tokio::test]
async fn one_more_than_allowed_is_closed_and_a_free_place_is_taken_again() {
    const PLACES: usize = 3;
    let server = TestServer::start("full", |config| config.listeners[0].max_connections = PLACES);
    let mut inside = Vec::new();
    for number in 0..PLACES {
        inside.push(server.authenticated(&format!("device{number}")).await);
    }
    for _ in 0..20 {
        assert_turned_away(&mut server.device().await).await;
    }
    assert_eq!(server.totals().refused(Refused::Full), 20);
    assert_eq!(server.totals().accepted, PLACES as u64);
    let refused = || logs::lines(&["refused", "listener=full "]);
    assert!(refused().len() < 5, "{:?}", refused());
    assert!(refused()[0].contains("reason=full"), "{:?}", refused());
    for device in &mut inside {
        device.send(b"x").await.unwrap();
    }

    inside.pop();
    eventually("a place is free", || server.permits.in_use() < PLACES).await;
    inside.push(server.authenticated("the next").await);
    assert_turned_away(&mut server.device().await).await;

    let summaries = || logs::lines(&["refused listener=full more within ", "full="]);
    eventually("the rest is summed up", || !summaries().is_empty()).await;
    drop(inside);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn strangers_that_say_nothing_keep_no_device_out() {
    const PLACES: usize = 40;
    const STRANGERS: usize = 10;
    let server = TestServer::start("strangers", |config| {
        config.listeners[0].max_connections = PLACES;
        config.listeners[0].max_unauthenticated = STRANGERS;
        config.session.auth_timeout = PATIENCE;
    });
    let mut strangers = Vec::new();
    for _ in 0..2 * PLACES {
        strangers.push(server.raw().await);
    }
    let crowded_out = || server.totals().ended(Ended::CrowdedOut);
    eventually("the oldest have made room", || crowded_out() as usize == 2 * PLACES - STRANGERS).await;
    assert_eq!(server.permits.in_use(), STRANGERS);
    // Devices take all the places, those of strangers too.
    let mut devices = Vec::new();
    for number in 0..PLACES {
        devices.push(server.authenticated(&format!("device{number}")).await);
    }
    eventually("no stranger is left", || server.open.count() == PLACES).await;
    assert_eq!(crowded_out() as usize, 2 * PLACES);
    assert_eq!(server.totals().refused(Refused::Full), 0);
    assert_turned_away(&mut server.device().await).await;
    drop((devices, strangers));
    server.assert_nothing_is_left().await;
}

/// A device that connects from this address.
async fn device_from(source: IpAddr, server: SocketAddr) -> Device {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source, 0)).unwrap();
    let stream = timeout(PATIENCE, socket.connect(server)).await.unwrap().unwrap();
    Device::over(trap_server::client::Stream::Tcp(stream)).with_deadline(PATIENCE)
}

const NEIGHBOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const ONESELF: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn a_denied_connection_costs_no_session() {
    let server = TestServer::start("denied", |config| {
        config.listeners[0].access = Rules::parse(&["deny 127.0.0.2", "allow all"]).unwrap();
        config.listeners[0].max_connections = 1;
    });
    for _ in 0..3 {
        assert_turned_away(&mut device_from(NEIGHBOUR, server.address).await).await;
    }
    assert_eq!((server.totals().accepted, server.totals().refused(Refused::Denied)), (0, 3));
    assert_eq!(server.permits.in_use(), 0);
    assert!(logs::has(&["refused listener=denied peer=127.0.0.2:", "reason=denied"]));
    let mut allowed = device_from(ONESELF, server.address).await;
    allowed.auth("allowed").await.unwrap();
    drop(allowed);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_rule_for_an_ipv4_address_holds_on_a_dual_stack_listener() {
    if std::net::TcpListener::bind("[::]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let server = TestServer::start("dual-stack", |config| {
        config.listeners[0].bind = "[::]:0".parse().unwrap();
        config.listeners[0].access = Rules::parse(&["deny 127.0.0.2", "allow all"]).unwrap();
    });
    let over_ipv4 = SocketAddr::new(ONESELF, server.address.port());
    assert_turned_away(&mut device_from(NEIGHBOUR, over_ipv4).await).await;
    assert!(logs::has(&["refused listener=dual-stack peer=127.0.0.2:"]));
    let mut allowed = device_from(ONESELF, over_ipv4).await;
    allowed.auth("over IPv4").await.unwrap();
    let mut over_ipv6 = Device::connect(("::1", server.address.port())).await.unwrap();
    over_ipv6.auth("over IPv6").await.unwrap();
    assert_eq!(server.table.len(), 2);
}

#[tokio::test]
async fn two_listeners_have_one_registry_and_bounds_of_their_own() {
    let mut config = common::config("two-a");
    config.listeners[0].max_connections = 1;
    config.listeners.push(Listener { name: "two-b".into(), ..config.listeners[0].clone() });
    let server = TestServer::run("two-a", Server::bind(config).unwrap());
    let [first, second] = server.addresses[..] else { panic!("{:?}", server.addresses) };
    let mut on_first = Device::connect(first).await.unwrap().with_deadline(PATIENCE);
    on_first.auth("device1").await.unwrap();
    assert_turned_away(&mut server.device().await).await;
    let mut on_second = Device::connect(second).await.unwrap().with_deadline(PATIENCE);
    on_second.auth("device2").await.unwrap();
    assert_eq!(server.table.len(), 2);
    assert!(logs::has(&["authenticated listener=two-b ", "device2"]));

    // An id is known on both.
    drop(on_first);
    eventually("the first place is free", || server.permits.in_use() == 0).await;
    let mut on_first = Device::connect(first).await.unwrap().with_deadline(PATIENCE);
    on_first.auth("device2").await.unwrap();
    on_second.closed().await.unwrap();
    drop((on_first, on_second));
    server.assert_nothing_is_left().await;
}
