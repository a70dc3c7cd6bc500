//! The byte stream under TLS.

use std::io;

use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trap_server::listener::tls::Clients;

use crate::PATIENCE;
use crate::certificates::{Authority, connect};
use crate::echo::{Echo, Went, options};

async fn server() -> (Authority, Echo) {
    let authority = Authority::new("fleet");
    let server = authority.issue("server", &["localhost"], 1);
    let echo = Echo::start(&options(&[&server], Clients::Anonymous)).await;
    (authority, echo)
}

#[tokio::test]
async fn much_data_in_both_directions() {
    const LEN: usize = 5_000_000;
    for version in [&TLS12, &TLS13] {
        let (authority, mut echo) = server().await;
        let stream = connect(&authority.client(&[version], None), "localhost", echo.address).await.unwrap();
        let (mut read, mut write) = tokio::io::split(stream);
        let writing = async {
            for piece in 0..LEN / 50_000 {
                write.write_all(&[piece as u8; 50_000]).await.unwrap();
            }
            write.shutdown().await.unwrap();
        };
        let mut back = Vec::new();
        let both = async { tokio::join!(writing, read.read_to_end(&mut back)).1 };
        // It ends with the goodbye of the server; without, this is an error.
        assert_eq!(timeout(PATIENCE, both).await.unwrap().unwrap(), LEN + 3);
        assert!(
            back.chunks(50_000)
                .take(LEN / 50_000)
                .enumerate()
                .all(|(piece, chunk)| { chunk.iter().all(|byte| *byte == piece as u8) })
        );
        echo.open().await;
        let went = echo.next().await;
        assert!(matches!(went, Went::Ended(LEN)), "{went:?}");
    }
}

#[tokio::test]
async fn round_trips_with_new_keys_in_between() {
    let (authority, echo) = server().await;
    let client = authority.client(&[&TLS13], None);
    let mut stream = connect(&client, "localhost", echo.address).await.unwrap();
    for round in 0..1000 {
        if round % 100 == 0 {
            stream.get_mut().1.refresh_traffic_keys().unwrap();
        }
        stream.write_all(&[0xc0; 100]).await.unwrap();
        let mut back = [0; 100];
        timeout(PATIENCE, stream.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(back, [0xc0; 100]);
    }
}

#[tokio::test]
async fn a_client_that_only_closes_its_socket_ended_as_well() {
    let (authority, mut echo) = server().await;
    let client = authority.client(&[&TLS13], None);
    let mut stream = connect(&client, "localhost", echo.address).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    echo.open().await;
    stream.get_mut().0.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"hellobye");
    assert!(matches!(echo.next().await, Went::Ended(5)));
}

#[tokio::test]
async fn an_end_within_a_record_or_the_handshake_is_an_error() {
    let (authority, mut echo) = server().await;
    let client = authority.client(&[&TLS13], None);
    let mut stream = connect(&client, "localhost", echo.address).await.unwrap();
    echo.open().await;
    let socket = &mut stream.get_mut().0;
    socket.write_all(&[23, 3, 3]).await.unwrap();
    socket.shutdown().await.unwrap();
    let went = echo.next().await;
    assert!(matches!(&went, Went::Failed(why) if why.contains("in the middle of a TLS record")), "{went:?}");

    drop(TcpStream::connect(echo.address).await.unwrap());
    let why = echo.refused().await;
    assert!(why.contains("before the TLS handshake"), "{why}");
    let mut hello = TcpStream::connect(echo.address).await.unwrap();
    hello.write_all(&[22, 3, 1]).await.unwrap();
    drop(hello);
    let why = echo.refused().await;
    assert!(why.contains("in the TLS handshake"), "{why}");
}

#[tokio::test]
async fn a_client_without_tls_is_refused_and_learns_why() {
    let (_authority, mut echo) = server().await;
    let mut plain = TcpStream::connect(echo.address).await.unwrap();
    plain.write_all(&[0xc0, 0x00, 0x00, 0x00, 0x00, 0x00]).await.unwrap();
    let mut alert = Vec::new();
    let _: io::Result<usize> = timeout(PATIENCE, plain.read_to_end(&mut alert)).await.unwrap();
    // A fatal alert of TLS.
    assert_eq!((alert.first(), alert.get(5)), (Some(&21), Some(&2)), "{alert:?}");
    let why = echo.refused().await;
    assert!(why.contains("corrupt message"), "{why}");
}

#[tokio::test]
async fn a_dropped_connection_says_goodbye() {
    let (authority, mut echo) = server().await;
    let client = authority.client(&[&TLS13], None);
    let mut stream = connect(&client, "localhost", echo.address).await.unwrap();
    echo.open().await;
    // A record that was not encrypted with the key, after which the server drops the connection.
    stream
        .get_mut()
        .0
        .write_all(&[23, 3, 3, 0, 17, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
        .await
        .unwrap();
    let err = timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap_err();
    assert!(err.to_string().contains("BadRecordMac"), "{err}");
    let went = echo.next().await;
    assert!(matches!(&went, Went::Failed(why) if why.contains("decrypt")), "{went:?}");
}
