//! Sessions that crash or block.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use trap_server::client::Error;
use trap_server::faults::{Fault, Point};
use trap_server::stats::Ended;

use crate::common::raw::{PING, auth, send};
use crate::common::{Outcome, PATIENCE, eventually, logs};
use crate::load::{LOAD, Load};
use crate::server;

#[tokio::test]
async fn a_session_that_crashes_loses_its_own_device_only() {
    let server = server("crash-session", |_| {});
    let load = Load::start(&server).await;
    server.faults.set(Point::Session, Fault::Panic);
    eventually("a session has crashed", || server.totals().ended(Ended::Crashed) == 1).await;
    load.goes_on().await;
    eventually("its device knows", || load.devices.iter().any(|worker| worker.task.is_finished())).await;
    assert_eq!(server.table.len(), LOAD - 1);
    assert_eq!((server.open.count(), server.permits.in_use()), (LOAD - 1, LOAD - 1));
    assert!(logs::has(&[" ERROR ", "ended reason=crashed listener=crash-session ", "client=\"load"]));
    assert!(!logs::has(&["crash-session ERROR", "restarting"]));
    let errors = load.finish().await;
    assert!(matches!(errors[..], [Error::Io(_) | Error::Closed { .. }]), "{errors:?}");
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_crash_is_reported_with_the_frame_and_without_its_data() {
    let server = server("crash-report", |_| {});
    let mut peer = server.raw().await;
    peer.send(auth("reported")).await;
    peer.expect("auth_ok").await;
    // The last one strikes first: the answer to the PING is still there when the SEND crashes.
    server.faults.set(Point::Frame, Fault::Panic);
    server.faults.set(Point::Frame, Fault::Block(Duration::ZERO));
    peer.send([&PING[..], &send("reported", "the secret")].concat()).await;
    peer.rest().await;
    let usual = format!("peer={} client=\"reported\" ", peer.address());
    let report = " phase=authenticated frame=Send length=22 unanswered=4";
    let words = [" ERROR ", "ended reason=crashed listener=crash-report ", &usual, report];
    eventually("it is reported", || logs::has(&words)).await;
    assert!(!logs::has(&["secret"]));
    assert_eq!(server.totals().ended(Ended::Crashed), 1);
    // One that has not sent its id yet.
    let mut peer = server.raw().await;
    server.faults.set(Point::Frame, Fault::Panic);
    peer.send(auth("new")).await;
    peer.rest().await;
    eventually("it is reported", || logs::has(&[" phase=new frame=Auth length=6 unanswered=0"])).await;
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_stalled_worker_is_logged_with_the_session_that_holds_it() {
    let server = server("stall", |config| config.server.workers = 1);
    let mut device = server.authenticated("blocker").await;
    server.faults.set(Point::Session, Fault::Block(Duration::from_secs(3)));
    device.ping().await.unwrap();
    let of = format!("peer={} client=\"blocker\"", device.local_addr().unwrap());
    let has = |words: &str| logs::has(&["stall ", words, &of]);
    eventually("it is logged", || has("ERROR worker 0 stands still for=")).await;
    eventually("it is logged", || has("WARN worker 0 goes on after=")).await;
    drop(device);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_stuck_session_does_not_keep_the_server_from_stopping() {
    // Two workers, one of them blocked: its sessions are cut off, the others end.
    let server = server("stuck", |config| config.server.shutdown = Duration::from_secs(5));
    let load = Load::start(&server).await;
    server.faults.set(Point::Session, Fault::Block(PATIENCE * 10));
    let outcome = tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    let Outcome::Stopped(stopped) = outcome else { panic!("{outcome:?}") };
    assert!(stopped.cut_off > 0);
    assert!(stopped.killed.is_empty(), "{stopped:?}");
    let ended = logs::lines(&["ended reason=shutdown listener=stuck "]).len();
    assert_eq!(ended + stopped.cut_off, LOAD);
    let ended = LOAD - stopped.cut_off;
    assert!(logs::has(&["stuck WARN", &format!("stopped {ended} sessions, cut off {} ", stopped.cut_off)]));
    load.devices.iter().for_each(|worker| worker.task.abort());
}

#[tokio::test]
async fn a_server_that_stops_refuses_connections_even_if_a_worker_is_stalled() {
    let server = server("stuck-door", |config| config.server.shutdown = Duration::from_secs(1));
    let load = Load::start(&server).await;
    server.faults.set(Point::Session, Fault::Block(PATIENCE * 10));
    let address = server.address;
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    // The acceptor of that worker still has the socket.
    let newcomer = || TcpStream::connect_timeout(&address, PATIENCE);
    let is_refused = || newcomer().is_err_and(|err| err.kind() == ErrorKind::ConnectionRefused);
    eventually("newcomers are refused", is_refused).await;
    load.devices.iter().for_each(|worker| worker.task.abort());
}
