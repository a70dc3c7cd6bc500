//! The thread that writes stalls, or panics.

use std::time::Duration;

use trap_server::faults::{Fault, Point};

use crate::common::raw::{PING, auth, send};
use crate::common::{eventually, logs};
use crate::{pair, rows, server};

const STALL: Duration = Duration::from_secs(10);

const KIB: usize = 1024;

#[tokio::test]
async fn a_writer_that_stalls_costs_nothing_but_time() {
    let folder = tempfile::tempdir().unwrap();
    let budget = 4 * 1024 * KIB;
    let server = server("stall", folder.path(), |config| config.uplink.max_unanswered = budget);
    let mut quiet = server.raw().await;
    quiet.send(auth("quiet")).await;
    quiet.expect("auth_ok").await;
    let before = resident();
    server.faults.set(Point::Writer, Fault::Block(STALL));
    // Much more than the budget.
    let (devices, sends) = (100, 500);
    let mut load = tokio::task::JoinSet::new();
    for number in 0..devices {
        let mut device = server.raw().await;
        load.spawn(async move {
            let id = format!("device{number}");
            device.send(auth(&id)).await;
            device.expect("auth_ok").await;
            let frames: Vec<u8> =
                (0..sends).flat_map(|send_number| send(&id, message(send_number))).collect();
            device.send(frames).await;
            device.expect(&"send_ok".repeat(sends)).await;
        });
    }
    eventually("the budget is used up", || server.budget.used() >= budget).await;
    for _ in 0..20 {
        quiet.send(PING).await;
        quiet.expect("pong").await;
    }
    let held = server.budget.used();
    // One read of each worker may go beyond.
    assert!(held < budget + 4 * 64 * KIB, "{held} bytes are held");
    assert_eq!(server.totals().stored, 0, "the writer still stalls");
    let grown = resident().saturating_sub(before);
    assert!(grown < 10 * budget, "the process has grown by {grown} bytes");

    load.join_all().await;
    let rows = rows(folder.path());
    assert_eq!(rows.len(), devices * sends);
    for number in 0..devices {
        let id = format!("device{number}");
        let own = rows.iter().filter(|(client, _)| *client == id).map(|(_, data)| data);
        assert!(own.eq(&(0..sends).map(message).collect::<Vec<_>>()), "{id}");
    }
    assert_eq!((server.budget.used(), server.totals().not_stored), (0, 0));
    drop(quiet);
    server.assert_nothing_is_left().await;
}

/// A thousand bytes that say which one it is.
fn message(number: usize) -> String {
    format!("{number:01000}")
}

/// Bytes of memory of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * KIB
}

#[tokio::test]
async fn a_writer_that_panics_is_restarted_and_only_its_transaction_fails() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("panic", folder.path(), |_| {});
    let mut device = server.authenticated("a").await;
    device.send(b"before").await.unwrap();
    server.faults.set(Point::Writer, Fault::Panic);
    assert!(device.send(b"over it").await.is_err());
    device.send(b"after").await.unwrap();
    let stored: Vec<_> = rows(folder.path()).into_iter().map(|(_, data)| data).collect();
    assert_eq!(stored, ["before", "after"]);
    let line = ["panic ERROR", "uplink ended: its thread panicked: injected fault at Writer; restarting it"];
    assert!(logs::has(&line));
    drop(device);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn what_waits_while_the_writer_panics_is_stored_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("panics", folder.path(), |config| config.uplink.batch_records = 1);
    let mut raw = server.raw().await;
    let mut other = server.raw().await;
    for (peer, id) in [(&mut raw, "a"), (&mut other, "b")] {
        peer.send(auth(id)).await;
        peer.expect("auth_ok").await;
    }
    // The first transaction takes its time, and the second panics.
    server.faults.set(Point::Writer, Fault::Panic);
    server.faults.set(Point::Writer, Fault::Block(Duration::from_millis(500)));
    other.send(send("b", "first")).await;
    eventually("it is handed over", || server.budget.used() > 0).await;
    let held = server.budget.used();
    raw.send(send("a", "second")).await;
    eventually("that too", || server.budget.used() > held).await;
    let mut third = server.raw().await;
    third.send([auth("c"), send("c", "third")].concat()).await;
    other.expect("send_ok").await;
    raw.expect("send_failure").await;
    third.expect("auth_oksend_ok").await;
    assert_eq!(rows(folder.path()), [pair("b", "first"), pair("c", "third")]);
}
