//! The original client's conversation, and what must be gone after it.

mod common;

use common::TestServer;

#[tokio::test]
async fn the_original_clients_conversation() {
    let server = TestServer::start("conversation", |_| {});
    let mut device = server.device().await;
    device.auth("client0012").await.unwrap();
    assert!(server.table.contains("client0012"));
    device.send(b"hello").await.unwrap();
    device.ping().await.unwrap();
    drop(device);
    server.assert_nothing_is_left().await;
}
