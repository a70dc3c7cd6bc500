//! The example `lines`, as a module of this test: another protocol, whose limits change while connections go on.

#[allow(dead_code, reason = "its main is not called here")]
#[path = "../examples/lines.rs"]
mod example;

use std::net::SocketAddr;
use std::time::Duration;

use example::{Limits, Lines};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

async fn ask(stream: &mut TcpStream, text: &str, answer: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut got = vec![0; answer.len()];
    timeout(PATIENCE, stream.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), answer);
}

/// Whether the server closes the connection without a word.
async fn is_refused(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let read = timeout(PATIENCE, stream.read_u8()).await.unwrap();
    read.is_err()
}

#[actix::test]
async fn lines_are_answered_and_limits_change_for_new_connections() {
    let mut lines = Lines::start(([127, 0, 0, 1], 0).into(), Limits { max_connections: 1 }).unwrap();
    let address = lines.address().unwrap();
    let mut first = TcpStream::connect(address).await.unwrap();
    ask(&mut first, "one\r\nthree\n\n", "3\n5\n0\n").await;
    assert!(is_refused(address).await);
    lines.reload("max_connections = 2\n".parse().unwrap()).unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    ask(&mut second, "four\n", "4\n").await;
    ask(&mut first, "still there\n", "11\n").await;
    assert!("connections = 2".parse::<Limits>().is_err());
}

#[actix::test]
async fn a_line_that_is_too_long_ends_its_connection() {
    let lines = Lines::start(([127, 0, 0, 1], 0).into(), Limits { max_connections: 1 }).unwrap();
    let mut stream = TcpStream::connect(lines.address().unwrap()).await.unwrap();
    stream.write_all(&[b'x'; 5000]).await.unwrap();
    let read = timeout(PATIENCE, stream.read_u8()).await.unwrap();
    assert!(read.is_err());
}
