//! A server with TLS: sessions, ids from certificates, limits, and what a reload changes.

use std::path::PathBuf;
use std::time::Duration;

use rustls::version::TLS13;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use trap_server::client::{Device, Error};
use trap_server::config::{ClientCertificates, Config, IdentityFrom};
use trap_server::protocol::Reply;
use trap_server::stats::{Ended, Refused};

use crate::PATIENCE;
use crate::certificates::{Authority, Issued, connect};
use crate::common::raw::{PING, auth};
use crate::common::{TestServer, eventually};

fn with_tls(config: &mut Config, server: &Issued) {
    let tls = &mut config.listeners[0].tls;
    tls.certificates = vec![server.certificate.clone()];
    tls.keys = vec![server.key.clone()];
}

fn with_clients(config: &mut Config, authority: &Authority, crls: Vec<PathBuf>) {
    let tls = &mut config.listeners[0].tls;
    tls.client_certificates = ClientCertificates::Required;
    tls.client_ca = Some(authority.ca.clone());
    tls.client_crls = crls;
}

async fn stream(server: &TestServer, authority: &Authority, own: Option<&Issued>) -> TlsStream<TcpStream> {
    connect(&authority.client(&[&TLS13], own), "localhost", server.address).await.unwrap()
}

async fn device(
    server: &TestServer,
    authority: &Authority,
    own: Option<&Issued>,
) -> Device<TlsStream<TcpStream>> {
    Device::over(stream(server, authority, own).await).with_deadline(PATIENCE)
}

#[tokio::test]
async fn a_session_over_tls_is_one_as_any_other() {
    let authority = Authority::new("fleet");
    let issued = authority.issue("server", &["localhost"], 1);
    let server = TestServer::start("tls-session", |config| with_tls(config, &issued));
    let mut first = device(&server, &authority, None).await;
    first.auth("device1").await.unwrap();
    for len in [0, 1, 1000, 16_384, 65_535] {
        first.send(&vec![7; len]).await.unwrap();
    }
    for _ in 0..1000 {
        first.ping().await.unwrap();
    }
    // A takeover, and the end of the former session with a goodbye.
    let mut second = device(&server, &authority, None).await;
    second.auth("device1").await.unwrap();
    first.closed().await.unwrap();
    let mut once = device(&server, &authority, None).await;
    once.send_once("device2", b"one shot").await.unwrap();
    once.closed().await.unwrap();
    second.half_close().await.unwrap();
    second.closed().await.unwrap();
    eventually("all sessions have ended", || server.open.count() == 0).await;
    let totals = server.totals();
    assert_eq!((totals.ended(Ended::Takeover), totals.ended(Ended::PeerClosed)), (1, 1));
    assert_eq!((server.permits.in_use(), server.budget.used(), server.strangers.used()), (0, 0, 0));
}

#[tokio::test]
async fn a_hundred_thousand_pipelined_pings_are_answered() {
    const PINGS: usize = 100_000;
    let authority = Authority::new("fleet");
    let issued = authority.issue("server", &["localhost"], 1);
    let server = TestServer::start("tls-pipeline", |config| with_tls(config, &issued));
    let (mut read, mut write) = tokio::io::split(stream(&server, &authority, None).await);
    let writing = async {
        write.write_all(&auth("device")).await.unwrap();
        write.write_all(&PING.repeat(PINGS)).await.unwrap();
        write.flush().await.unwrap();
    };
    let mut back = vec![0; "auth_ok".len() + PINGS * "pong".len()];
    let both = async { tokio::join!(writing, read.read_exact(&mut back)).1 };
    timeout(PATIENCE, both).await.unwrap().unwrap();
    assert_eq!(back, format!("auth_ok{}", "pong".repeat(PINGS)).into_bytes());
}

#[tokio::test]
async fn the_id_must_be_that_of_the_certificate() {
    let authority = Authority::new("fleet");
    let issued = authority.issue("server", &["localhost"], 1);
    let own = authority.issue("device1", &["device2"], 2);
    for (identity, right, wrong) in
        [(IdentityFrom::Cn, "device1", "device2"), (IdentityFrom::San, "device2", "device1")]
    {
        let server = TestServer::start("tls-identity", |config| {
            with_tls(config, &issued);
            with_clients(config, &authority, Vec::new());
            config.listeners[0].tls.identity = identity;
        });
        device(&server, &authority, Some(&own)).await.auth(right).await.unwrap();
        device(&server, &authority, Some(&own)).await.send_once(right, b"data").await.unwrap();
        let refused = device(&server, &authority, Some(&own)).await.auth(wrong).await;
        assert!(matches!(refused, Err(Error::Refused(Reply::AuthFailure))), "{refused:?}");
        let refused = device(&server, &authority, Some(&own)).await.send_once(wrong, b"data").await;
        assert!(matches!(refused, Err(Error::Refused(Reply::SendFailure))), "{refused:?}");
        eventually("the refused ones are counted", || server.totals().ended(Ended::AuthFailure) == 2).await;
        assert_eq!(server.totals().stored, 1);
    }
}

#[tokio::test]
async fn a_failed_handshake_is_refused_with_its_reason_and_leaves_nothing() {
    let authority = Authority::new("fleet");
    let issued = authority.issue("server", &["localhost"], 1);
    let server = TestServer::start("tls-refused", |config| {
        with_tls(config, &issued);
        with_clients(config, &authority, Vec::new());
        config.listeners[0].tls.handshake_timeout = Duration::from_millis(300);
    });
    let refused = |reason| server.totals().refused(reason);
    // No certificate; in TLS 1.3 the client learns it after its own handshake.
    let mut stream = stream(&server, &authority, None).await;
    let err = timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap_err();
    assert!(err.to_string().contains("CertificateRequired"), "{err}");
    drop(stream);
    eventually("no certificate is a failure", || refused(Refused::TlsFailed) == 1).await;
    // Not TLS.
    let mut plain = server.raw().await;
    plain.send(auth("device")).await;
    eventually("another protocol is a failure", || refused(Refused::TlsFailed) == 2).await;
    // Silence, and a handshake that does not go on.
    let (_silent, mut slow) = (server.raw().await, server.raw().await);
    slow.send([22, 3, 1]).await;
    eventually("the timeout holds for both", || refused(Refused::HandshakeTimeout) == 2).await;
    let mut gone = server.raw().await;
    gone.send([22, 3, 1]).await;
    drop(gone);
    eventually("a close within the handshake", || refused(Refused::HandshakeClosed) == 1).await;
    drop(server.raw().await);
    eventually("a port check is a probe", || server.totals().probes == 1).await;
    eventually("all places are free", || server.permits.in_use() == 0).await;
    assert_eq!((server.totals().accepted, server.totals().sessions), (0, 0));
}

#[tokio::test]
async fn silent_handshakes_do_not_keep_devices_out() {
    let authority = Authority::new("fleet");
    let issued = authority.issue("server", &["localhost"], 1);
    let server = TestServer::start("tls-crowded", |config| {
        with_tls(config, &issued);
        config.listeners[0].tls.max_handshakes = 3;
    });
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(server.raw().await);
    }
    eventually("the oldest are closed", || server.totals().refused(Refused::CrowdedOut) == 7).await;
    let mut device = device(&server, &authority, None).await;
    device.auth("device").await.unwrap();
    device.ping().await.unwrap();
    assert_eq!(server.totals().refused(Refused::CrowdedOut), 8);
}

#[tokio::test]
async fn the_beginning_of_a_record_counts_as_memory_and_has_a_timeout() {
    let authority = Authority::new("fleet");
    let issued = authority.issue("server", &["localhost"], 1);
    let server = TestServer::start("tls-record", |config| {
        with_tls(config, &issued);
        config.session.frame_timeout = Duration::from_millis(500);
    });
    let mut stream = stream(&server, &authority, None).await;
    stream.write_all(&auth("device")).await.unwrap();
    stream.read_exact(&mut [0; 7]).await.unwrap();
    assert_eq!(server.budget.used(), 0);
    let socket = &mut stream.get_mut().0;
    socket.write_all(&[23, 3, 3, 0x40, 0]).await.unwrap();
    socket.write_all(&[0; 10_000]).await.unwrap();
    eventually("the beginning is held", || server.budget.used() > 9000).await;
    eventually("the timeout ends it", || server.totals().ended(Ended::FrameTimeout) == 1).await;
    eventually("nothing is held", || server.budget.used() == 0).await;
}

#[tokio::test]
async fn a_record_without_a_frame_leaves_no_timeout() {
    let authority = Authority::new("fleet");
    let issued = authority.issue("server", &["localhost"], 1);
    let server = TestServer::start("tls-padding", |config| {
        with_tls(config, &issued);
        config.session.frame_timeout = Duration::from_millis(200);
    });
    // A relay that cuts each record.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, to) = (listener.local_addr().unwrap(), server.address);
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(to).await.unwrap();
        server.set_nodelay(true).unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let cutting = async {
            let mut piece = [0; 20];
            while let Ok(len @ 1..) = from_client.read(&mut piece).await {
                to_server.write_all(&piece[..len]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::join!(cutting, tokio::io::copy(&mut from_server, &mut to_client)).1.unwrap();
    });
    let config = authority.client(&[&TLS13], None);
    let mut device =
        Device::over(connect(&config, "localhost", address).await.unwrap()).with_deadline(PATIENCE);
    device.auth("device").await.unwrap();
    // Padding is not a frame.
    device.write_raw(&[0; 100]).await.unwrap();
    eventually("the padding has been read", || server.budget.used() == 0).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    device.ping().await.unwrap();
}
