//! A peer that sends bytes, whatever they mean, and frames written down by hand.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

pub const PING: [u8; 2] = [0x40, 0];
pub const CONNECT: [u8; 2] = [0x41, 0];

/// `44 len:16 id`
pub fn auth(id: impl AsRef<[u8]>) -> Vec<u8> {
    let id = id.as_ref();
    [&[0x44], &u16::try_from(id.len()).unwrap().to_be_bytes()[..], id].concat()
}

/// SEND in mode 1.
pub fn send(id: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Vec<u8> {
    with_data(0x47, id, data)
}

/// `first data_len:16 id_len:8 id data`
pub fn with_data(first: u8, id: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Vec<u8> {
    let (id, data) = (id.as_ref(), data.as_ref());
    let data_len = u16::try_from(data.len()).unwrap().to_be_bytes();
    [&[first], &data_len[..], &[u8::try_from(id.len()).unwrap()], id, data].concat()
}

/// A connection on which each write leaves immediately.
pub struct Raw(TcpStream);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
}

impl Raw {
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub fn stream(&self) -> &TcpStream {
        &self.0
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.0.write_all(bytes.as_ref())).await.expect("the server reads").unwrap();
    }

    /// Nothing more will be sent. A server that has ended the connection already does not mind.
    pub async fn half_close(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// These are the next answers.
    pub async fn expect(&mut self, answers: &str) {
        let mut got = vec![0; answers.len()];
        let read = timeout(PATIENCE, self.0.read_exact(&mut got)).await;
        assert!(matches!(read, Ok(Ok(_))), "{read:?} while waiting for {answers:?}, got {}", text(&got));
        assert_eq!(text(&got), answers);
    }

    /// These are the last answers, and then the server closes.
    pub async fn expect_last(&mut self, answers: &str) {
        let (got, end) = self.rest().await;
        assert_eq!((text(&got).as_str(), end), (answers, End::Closed));
    }

    /// What comes until the end.
    pub async fn rest(&mut self) -> (Vec<u8>, End) {
        let mut got = Vec::new();
        match timeout(PATIENCE, self.0.read_to_end(&mut got)).await {
            Ok(Ok(_)) => (got, End::Closed),
            Ok(Err(err)) if err.kind() == ErrorKind::ConnectionReset => (got, End::Reset),
            other => panic!("no end, but {other:?}, after {}", text(&got)),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
