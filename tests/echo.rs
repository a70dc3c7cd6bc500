//! The example `echo`, as a module of this test: the listener and the supervisor carry a protocol that they do not know.

#[allow(dead_code, reason = "its main is not called here")]
#[path = "../examples/echo.rs"]
mod example;

use std::time::Duration;

use example::{Serving, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

#[actix::test]
async fn whatever_comes_goes_back() {
    let serving = start(PATIENCE);
    // Much more than the buffer, so that it has to be taken and given back bit by bit.
    let sent: Vec<u8> = (0..8_000_000_u32).map(|i| (i % 251) as u8).collect();
    let (mut read, mut write) = TcpStream::connect(serving.address).await.unwrap().into_split();
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let reading = read.read_to_end(&mut got);
    let (_, read) = timeout(PATIENCE, async { tokio::join!(writing, reading) }).await.unwrap();
    read.unwrap();
    assert!(got == sent, "{} of {} bytes came back, or others", got.len(), sent.len());
}

#[actix::test]
async fn a_peer_that_says_nothing_is_closed_and_the_next_one_is_served() {
    let serving = start(Duration::from_millis(50));
    let mut silent = TcpStream::connect(serving.address).await.unwrap();
    let mut got = Vec::new();
    timeout(PATIENCE, silent.read_to_end(&mut got)).await.unwrap().unwrap();
    assert_eq!(got, b"");

    let mut next = TcpStream::connect(serving.address).await.unwrap();
    next.write_all(b"there?").await.unwrap();
    timeout(PATIENCE, next.read_to_end(&mut got)).await.unwrap().unwrap();
    assert_eq!(got, b"there?");
}

fn start(deadline: Duration) -> Serving {
    serve(([127, 0, 0, 1], 0).into(), deadline).unwrap()
}
