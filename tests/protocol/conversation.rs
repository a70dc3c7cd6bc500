use crate::ID;
use crate::common::TestServer;
use crate::common::logs;
use crate::common::raw::PING;

#[tokio::test]
async fn the_original_clients_conversation() {
    let server = TestServer::start("conversation", |_| {});
    let mut device = server.device().await;
    device.auth(ID).await.unwrap();
    assert!(server.table.contains(ID));
    device.send(b"hello").await.unwrap();
    device.ping().await.unwrap();
    drop(device);
    server.assert_nothing_is_left().await;
    let line = ["SEND listener=conversation", "client=\"client0012\" bytes=5 data=\"hello\""];
    assert!(logs::has(&line));
}

#[tokio::test]
async fn the_same_in_bytes() {
    let server = TestServer::start("in-bytes", |_| {});
    let mut raw = server.raw().await;
    raw.send(b"\x44\x00\x0aclient0012").await;
    raw.expect("auth_ok").await;
    raw.send(b"\x47\x00\x05\x0aclient0012hello").await;
    raw.expect("send_ok").await;
    raw.send(PING).await;
    raw.expect("pong").await;
    raw.half_close().await;
    raw.expect_last("").await;
    server.assert_nothing_is_left().await;
}
