//! A device that sends more than is answered is not read, and loses nothing by it.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep, timeout};
use trap_server::server::Server;

use crate::ID;
use crate::common::late::LateStore;
use crate::common::raw::{auth, send};
use crate::common::{self, PATIENCE, TestServer, eventually};

/// More than the kernel buffers on the way.
const BYTES: usize = 48 * 1024 * 1024;

/// A session holds 256 KiB unanswered, and one read of 64 KiB may go beyond. Twice that is more than enough.
const BOUND: u64 = 2 * (256 + 64) * 1024;

#[tokio::test]
async fn a_device_is_not_read_while_too_much_is_unanswered() {
    let store = LateStore::default();
    let server = Server::bind(common::config("pressure")).unwrap().with_store(Arc::new(store.clone()));
    let server = TestServer::run("pressure", server);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&auth(ID)).await.unwrap();
    stream.read_exact(&mut [0; "auth_ok".len()]).await.unwrap();

    let frame = send(ID, [7; 1000]);
    let sends = BYTES / frame.len();
    let (mut from, mut to) = stream.into_split();
    let stream = frame.repeat(sends);
    let sending = tokio::spawn(async move { to.write_all(&stream).await.map(|()| to) });
    let read = settled(|| server.totals().frames).await;
    assert!((100..BOUND / 1000).contains(&read), "{read} frames are read");
    assert!(!sending.is_finished(), "the kernel took all of it");

    store.answer_all();
    let mut answers = vec![0; sends * "send_ok".len()];
    timeout(PATIENCE, from.read_exact(&mut answers)).await.expect("all are answered").unwrap();
    assert!(answers.chunks("send_ok".len()).all(|word| word == b"send_ok"));
    assert_eq!(server.totals().stored, sends as u64);
    drop((sending.await.unwrap().unwrap(), from));
    server.assert_nothing_is_left().await;
}

/// The number, when it has been the same for a while and is not that of the beginning.
async fn settled(mut number: impl FnMut() -> u64) -> u64 {
    eventually("a beginning", || number() > 1).await;
    let (mut last, mut same) = (0, 0);
    while same < 20 {
        sleep(Duration::from_millis(5)).await;
        let now = number();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}
