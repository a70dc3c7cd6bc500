//! The thread that writes panics.

use std::time::Duration;

use trap_server::faults::{Fault, Point};

use crate::common::raw::{auth, send};
use crate::common::{eventually, logs};
use crate::{pair, rows, server};

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
    let line = ["panic ERROR", "store ended: thread panicked: injected fault at Writer; restarting"];
    assert!(logs::has(&line));
    drop(device);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn batches_that_wait_while_the_writer_panics_are_stored_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("panics", folder.path(), |config| config.store.batch_records = 1);
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
