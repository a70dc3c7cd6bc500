//! The life of a listener through its socket: it ends, starts again, is removed, and loses its socket.

mod common;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;

use common::raw::End;
use common::{PATIENCE, TestServer, eventually, eventually_so, logs};
use rustix::net::sockopt::socket_acceptconn;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use trap_server::access::Rules;
use trap_server::client::{Device, Error};
use trap_server::stats::{Ended, Refused};
use trap_server::supervisor::{ChildError, ChildState, DeleteChild, RestartChild, TerminateChild};

/// A port that is free now.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Duplicates of the descriptors of this process.
fn descriptors() -> impl Iterator<Item = OwnedFd> {
    let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let numbers = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers = numbers.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    // One that another thread has closed meanwhile is not there any more.
    numbers.filter_map(move |number: i32| pidfd_getfd(&own, number, PidfdGetfdFlags::empty()).ok())
}

/// Ends the listening on an address as the kernel does for `ss --kill`: behind the back of the server.
fn kill_listening_socket(address: SocketAddr) {
    let listens = |fd: &OwnedFd| socket_acceptconn(fd).unwrap_or(false);
    let here = |fd: &OwnedFd| SockRef::from(fd).local_addr().is_ok_and(|at| at.as_socket() == Some(address));
    let socket = descriptors().find(|fd| listens(fd) && here(fd)).expect("a socket that listens here");
    SockRef::from(&socket).shutdown(Shutdown::Both).unwrap();
}

#[tokio::test]
async fn a_listening_socket_that_is_killed_listens_again_on_its_port() {
    let address = free_address();
    let server = TestServer::start("killed", |config| config.listeners[0].bind = address.into());
    let mut living = server.authenticated("living").await;
    for restarts in 1..=3 {
        kill_listening_socket(address);
        let restarted = async || {
            let child = server.child("listener killed").await;
            child.restarts == restarts && child.state == ChildState::Running
        };
        eventually_so("it is restarted", restarted).await;
        let mut newcomer = Device::connect_within(PATIENCE, address).await.unwrap().with_deadline(PATIENCE);
        newcomer.auth("newcomer").await.unwrap();
        living.send(b"still there").await.unwrap();
    }
    let line = ["killed ERROR", "listener killed ended: an acceptor ended: accepting failed: "];
    assert!(logs::has(&line));
    drop(living);
    server.assert_nothing_is_left().await;
}

/// Stops a listener; its socket and its sessions stay.
async fn terminate(server: &TestServer, id: &str) {
    let request = TerminateChild { id: id.into(), within: PATIENCE };
    server.supervisor.send(request).await.unwrap().unwrap();
}

async fn restart(server: &TestServer, id: &str) -> Result<(), ChildError> {
    server.supervisor.send(RestartChild(id.into())).await.unwrap()
}

async fn delete(server: &TestServer, id: &str) -> Result<(), ChildError> {
    server.supervisor.send(DeleteChild(id.into())).await.unwrap()
}

#[tokio::test]
async fn a_terminated_listener_starts_again_with_its_limits() {
    let server = TestServer::start("again", |config| config.listeners[0].max_connections = 2);
    let mut inside = server.authenticated("inside").await;
    terminate(&server, "listener again").await;
    inside.send(b"sessions go on").await.unwrap();
    let mut waiting = server.device().await;
    assert_eq!(restart(&server, "listener agian").await, Err(ChildError::NotFound));
    assert_eq!(server.child("listener again").await.state, ChildState::Stopped);
    assert_eq!(server.totals().accepted, 1);

    restart(&server, "listener again").await.unwrap();
    waiting.auth("waiting").await.unwrap();
    assert_eq!(restart(&server, "listener again").await, Err(ChildError::Running));
    assert_turned_away(&mut server.device().await).await;
    assert_eq!((server.totals().accepted, server.totals().refused(Refused::Full)), (2, 1));
    drop((inside, waiting));
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_deleted_listener_is_forgotten_and_the_other_one_serves() {
    let server = TestServer::start("deleted", |config| {
        let mut other = config.listeners[0].clone();
        other.name = "stays".into();
        config.listeners.push(other);
    });
    let [first, second] = server.addresses[..] else { panic!("{:?}", server.addresses) };
    assert_eq!(delete(&server, "listener deleted").await, Err(ChildError::Running));
    terminate(&server, "listener deleted").await;
    let mut waiting = server.raw().await;
    delete(&server, "listener deleted").await.unwrap();
    assert_eq!(waiting.rest().await, (Vec::new(), End::Reset));
    let refused = TcpStream::connect(first).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    for gone in [restart(&server, "listener deleted").await, delete(&server, "listener deleted").await] {
        assert_eq!(gone, Err(ChildError::NotFound));
    }
    TcpListener::bind(first).expect("its port is free");
    let mut device = Device::connect(second).await.unwrap().with_deadline(PATIENCE);
    device.auth("device").await.unwrap();
}

#[tokio::test]
async fn a_backlog_keeps_so_many_clients_and_the_next_one_waits_for_its_turn() {
    // The kernel keeps one more than the backlog.
    const KEPT: usize = 3;
    let server = TestServer::start("backlog", |config| config.listeners[0].backlog = KEPT as u32 - 1);
    // A listener that starts again has its backlog again.
    for round in 0..2 {
        terminate(&server, "listener backlog").await;
        let mut kept = Vec::new();
        for _ in 0..KEPT {
            kept.push(server.device().await);
        }
        let mut late = tokio::spawn(TcpStream::connect(server.address));
        assert!(timeout(Duration::from_millis(100), &mut late).await.is_err());
        restart(&server, "listener backlog").await.unwrap();
        let late = timeout(PATIENCE, late).await.unwrap().unwrap().unwrap();
        let mut late = Device::over(late).with_deadline(PATIENCE);
        late.auth(&format!("late{round}")).await.unwrap();
        for (number, device) in kept.iter_mut().enumerate() {
            device.auth(&format!("device{round}{number}")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn connections_are_counted_as_they_come_and_go() {
    let server = TestServer::start("counted", |_| {});
    let devices = (server.authenticated("one").await, server.authenticated("two").await);
    let totals = server.totals();
    assert_eq!((totals.accepted, totals.sessions, totals.authenticated), (2, 2, 2));
    assert_eq!((totals.refused(Refused::Full), totals.refused(Refused::Denied)), (0, 0));
    drop(devices);
    eventually("both have gone", || server.totals().sessions == 0).await;
    let totals = server.totals();
    assert_eq!((totals.accepted, totals.authenticated, totals.ended(Ended::PeerClosed)), (2, 0, 2));
}

/// Asserts that the server closes without a word.
async fn assert_turned_away(device: &mut Device) {
    let end = device.closed().await;
    assert!(matches!(end, Ok(()) | Err(Error::Io(_))), "{end:?}");
}

/// Whether a device of this address of the loopback is served; otherwise it is turned away.
async fn is_served(server: &TestServer, source: Ipv4Addr) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source.into(), 0)).unwrap();
    let stream = timeout(PATIENCE, socket.connect(server.address)).await.unwrap().unwrap();
    let mut device = Device::over(stream).with_deadline(PATIENCE);
    match device.ping().await {
        Ok(_) => true,
        Err(Error::Io(_) | Error::Closed { .. }) => false,
        Err(err) => panic!("{err}"),
    }
}

#[tokio::test]
async fn access_rules_hold_at_both_edges_of_a_network_and_in_their_order() {
    for (rules, served, denied) in [
        (&["allow 127.0.0.1", "deny all"][..], &[[0, 1]][..], &[[0, 2], [1, 1]][..]),
        (&["deny 127.0.1.0/24", "allow all"], &[[0, 255], [2, 0]], &[[1, 0], [1, 255]]),
        (&["allow 127.0.1.9/24", "deny all"], &[[1, 0], [1, 255]], &[[0, 255], [2, 0]]),
        (&["deny 127.0.0.4/30", "allow 127.0.0.0/29", "deny all"], &[[0, 3]], &[[0, 4], [0, 7], [0, 8]]),
        (&["allow 127.0.0.5", "deny 127.0.0.4/30", "allow all"], &[[0, 5], [0, 8]], &[[0, 4], [0, 6]]),
        (&["deny all"], &[], &[[0, 1]]),
    ] {
        let server = TestServer::start("edges", |config| {
            config.listeners[0].access = Rules::parse(rules).unwrap();
        });
        let cases = served.iter().map(|end| (end, true)).chain(denied.iter().map(|end| (end, false)));
        for (&[high, low], expected) in cases {
            let source = Ipv4Addr::new(127, 0, high, low);
            assert_eq!(is_served(&server, source).await, expected, "{source} with {rules:?}");
        }
        assert_eq!(server.totals().accepted as usize, served.len());
        assert_eq!(server.totals().refused(Refused::Denied) as usize, denied.len());
    }
}
