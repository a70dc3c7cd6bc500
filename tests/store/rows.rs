//! What stands in a row, and in which order.

use std::time::{SystemTime, UNIX_EPOCH};

use trap_server::config::Synchronous;
use trap_server::protocol::Reply;

use crate::common::raw::{PING, send, with_data};
use crate::{open, pair, rows, server};

fn micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros().try_into().unwrap()
}

#[tokio::test]
async fn a_row_has_sender_data_time_and_mode() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("columns", folder.path(), |_| {});
    let before = micros();
    let mut device = server.authenticated("größe 7").await;
    device.send(b"\x00\xffbytes").await.unwrap();
    let mut one_shot = server.raw().await;
    one_shot.send(with_data(0x87, "client0012", "")).await;
    one_shot.expect_last("send_ok").await;
    let after = micros();

    let connection = open(folder.path());
    let mut all = connection
        .prepare("SELECT id, received_at, client, peer, listener, mode, data FROM message ORDER BY id")
        .unwrap();
    type Row = (i64, i64, String, String, String, String, Vec<u8>);
    let found: Vec<Row> = all
        .query_map([], |row| {
            let get = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            Ok((get.0, get.1, get.2, get.3, get.4, row.get(5)?, row.get(6)?))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let expected = [("größe 7", "session", &b"\x00\xffbytes"[..]), ("client0012", "one-shot", b"")];
    assert_eq!(found.len(), expected.len());
    for ((number, (id, at, client, peer, listener, mode, data)), row) in (1..).zip(&found).zip(expected) {
        assert_eq!((client.as_str(), mode.as_str(), data.as_slice()), row);
        assert_eq!((*id, listener.as_str()), (number, "columns"));
        assert!((before..=after).contains(at), "{before} {at} {after}");
        assert!(peer.starts_with("127.0.0.1:"), "{peer}");
    }
    assert_eq!(found[1].3, one_shot.address().to_string());
}

#[tokio::test]
async fn the_answer_is_sent_when_the_row_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("there", folder.path(), |_| {});
    let mut device = server.authenticated("a").await;
    for number in 0..50 {
        device.send(number.to_string().as_bytes()).await.unwrap();
        assert_eq!(rows(folder.path()).last(), Some(&pair("a", &number.to_string())));
    }
    assert_eq!(server.totals().stored, 50);
}

#[tokio::test]
async fn one_segment_is_stored_in_its_order_and_answered_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("order", folder.path(), |config| config.store.batch_records = 7);
    let mut raw = server.raw().await;
    raw.send(crate::common::raw::auth("a")).await;
    raw.expect("auth_ok").await;
    let (mut bytes, mut answers) = (Vec::new(), String::new());
    for number in 0..100 {
        bytes.extend(send("a", format!("{number}")));
        answers += Reply::SendOk.word();
        if number % 10 == 0 {
            bytes.extend([&PING[..], &send("b", "not mine")].concat());
            answers += "pongsend_failure";
        }
    }
    raw.send(bytes).await;
    raw.expect(&answers).await;
    let expected: Vec<_> = (0..100).map(|number| pair("a", &number.to_string())).collect();
    assert_eq!(rows(folder.path()), expected);
}

#[tokio::test]
async fn ids_go_on_after_a_restart_and_never_come_again() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let server = server("ids", folder.path(), |_| {});
        server.authenticated("a").await.send(b"x").await.unwrap();
        server.stop();
        let connection = open(folder.path());
        let last: i64 = connection.query_row("SELECT max(id) FROM message", [], |row| row.get(0)).unwrap();
        assert_eq!(last, round + 1);
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_is_noted_and_the_time_is_the_true_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = server("clock", folder.path(), |_| {});
    first.authenticated("a").await.send(b"before").await.unwrap();
    first.stop();
    let tomorrow = micros() + 24 * 60 * 60 * 1_000_000;
    open(folder.path()).execute("UPDATE message SET received_at = ?", [tomorrow]).unwrap();
    let second = server("clock", folder.path(), |_| {});
    second.authenticated("a").await.send(b"after").await.unwrap();
    second.authenticated("a").await.send(b"later").await.unwrap();
    let connection = open(folder.path());
    let steps: Vec<i64> = connection
        .prepare("SELECT first_id FROM clock_step")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(steps, [2]);
    let at: i64 =
        connection.query_row("SELECT received_at FROM message WHERE id = 3", [], |row| row.get(0)).unwrap();
    assert!(at <= micros());
}

#[tokio::test]
async fn batches_that_wait_when_the_server_stops_are_stored_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = server("stop", folder.path(), |config| config.server.shutdown = crate::common::PATIENCE);
    let mut raw = server.raw().await;
    raw.send(crate::common::raw::auth("a")).await;
    raw.expect("auth_ok").await;
    raw.send(send("a", "x").repeat(5000)).await;
    server.ask_to_stop();
    let (answers, _) = raw.rest().await;
    let acknowledged = answers.len() / "send_ok".len();
    drop(raw);
    server.ended();
    let stored = rows(folder.path()).len();
    assert_eq!(stored, acknowledged);
}

#[tokio::test]
async fn with_synchronous_normal_a_message_is_a_row_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("normal", folder.path(), |config| config.store.synchronous = Synchronous::Normal);
    server.authenticated("a").await.send(b"x").await.unwrap();
    assert_eq!(rows(folder.path()), [pair("a", "x")]);
}
