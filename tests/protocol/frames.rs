//! What a device may send, in every state of its session.

use trap_server::stats::Ended;

use crate::ID;
use crate::common::raw::{CONNECT, PING, auth, send, with_data};
use crate::scenario::{Step, frame, last, padding, play, server};

fn authenticated(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    [frame(auth(ID), "auth_ok")].into_iter().chain(steps).collect()
}

#[tokio::test]
async fn ping_and_connect() {
    let ping = || frame(PING, "pong");
    let connect = || frame(CONNECT, "connect_ok");
    let rows = [
        vec![],
        vec![ping()],
        vec![ping(), padding(1)],
        vec![ping(), padding(2)],
        vec![padding(3), ping(), padding(5), connect(), padding(1)],
        vec![frame([0x40, 0xff], "pong"), frame([0x41, 0x40], "connect_ok"), frame([0x40, 0x41], "pong")],
        vec![ping(), connect(), ping()],
        authenticated([ping(), connect(), ping()]),
        authenticated([padding(2), ping(), padding(1), send_hello(), padding(4), connect()]),
    ];
    play(&server("ping"), &rows).await;
}

fn send_hello() -> Step {
    frame(send(ID, "hello"), "send_ok")
}

#[tokio::test]
async fn auth_of_ids_known_and_unknown() {
    let refused = |id: &str| last(auth(id), "auth_failure", Ended::AuthFailure);
    let rows = [
        vec![frame(auth(ID), "auth_ok")],
        vec![frame(auth("x"), "auth_ok")],
        vec![frame(auth("größe 42"), "auth_ok")],
        vec![refused("abc")],
        vec![refused("client001")],
        vec![refused("client00120")],
        vec![refused(" ")],
        authenticated([frame(auth(ID), "auth_ok"), send_hello()]),
        authenticated([refused("other")]),
        authenticated([send_hello(), refused("abc")]),
    ];
    play(&server("auth"), &rows).await;
}

#[tokio::test]
async fn auth_of_the_longest_id() {
    let longest = "x".repeat(255);
    let rows = [vec![frame(auth(&longest), "auth_ok"), frame(send(&longest, "hello"), "send_ok")]];
    play(&server("longest"), &rows).await;
}

#[tokio::test]
async fn send_on_a_session() {
    let another = || frame(send("other", "hello"), "send_failure");
    let rows = [
        authenticated([send_hello()]),
        authenticated([frame(send(ID, ""), "send_ok")]),
        authenticated([frame(send(ID, [0, 0x40, 0xff]), "send_ok"), frame(send(ID, [0; 7]), "send_ok")]),
        authenticated([another(), send_hello(), another()]),
        authenticated([frame(send("client001", ""), "send_failure"), send_hello()]),
        vec![frame(send(ID, "hello"), "send_failure")],
        vec![frame(send("abc", ""), "send_failure")],
        vec![frame(send(ID, [0x40; 6]), "send_failure"), frame(auth(ID), "auth_ok"), send_hello()],
    ];
    let server = server("send");
    play(&server, &rows).await;
}

#[tokio::test]
async fn one_shots() {
    let known = |data: &str| last(with_data(0x87, ID, data), "send_ok", Ended::OneShot);
    let unknown = last(with_data(0x87, "abc", "hello"), "send_failure", Ended::AuthFailure);
    let rows = [
        vec![known("hello")],
        vec![known("")],
        vec![unknown],
        vec![frame(PING, "pong"), frame(send(ID, "no"), "send_failure"), known("yes")],
    ];
    let server = server("one-shots");
    play(&server, &rows).await;
}

#[tokio::test]
async fn publish_to_an_id_that_is_not_connected() {
    let publish = |data: &str| frame(with_data(0x4a, "other", data), "pub_failure");
    let rows = [
        vec![publish("hello")],
        vec![publish(""), frame(PING, "pong")],
        vec![publish("hello"), frame(auth(ID), "auth_ok"), publish("hello")],
        authenticated([publish("hello"), publish(""), frame(PING, "pong")]),
    ];
    play(&server("publish"), &rows).await;
}

#[tokio::test]
async fn answers_to_commands_that_were_not_issued() {
    let ok = || frame(with_data(0x4e, "c1", "done"), "");
    let failure = || frame(with_data(0x4f, "c2", ""), "");
    let rows = [
        vec![ok()],
        vec![failure()],
        vec![ok(), frame(PING, "pong"), failure(), frame(auth(ID), "auth_ok"), ok()],
        authenticated([ok(), failure(), send_hello()]),
    ];
    play(&server("commands"), &rows).await;
}

#[tokio::test]
async fn answers_to_commands_are_counted_and_failures_too() {
    let server = server("counted");
    let sent = [
        with_data(0x4e, "c1", "done"),
        send(ID, "too early"),
        auth(ID),
        with_data(0x4f, "c2", "no"),
        send("other", "not mine"),
        send(ID, "mine"),
    ];
    let mut raw = server.raw().await;
    raw.send(sent.concat()).await;
    raw.expect("send_failureauth_oksend_failuresend_ok").await;
    let totals = server.totals();
    assert_eq!((totals.ignored_answers, totals.stored, totals.not_stored), (2, 1, 2));
    assert_eq!(totals.frames, sent.len() as u64);
    let mut stranger = server.raw().await;
    stranger.send(with_data(0x87, "abc", "hello")).await;
    stranger.expect_last("send_failure").await;
    assert_eq!(server.totals().not_stored, 3);
    drop((raw, stranger));
    server.assert_nothing_is_left().await;
}
