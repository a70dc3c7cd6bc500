//! Certificates of clients, and the choice of the server's.

use std::io;

use rcgen::{IsCa, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use trap_server::listener::tls::{Clients, Identity, Version};

use crate::certificates::{Authority, Issued, connect};
use crate::echo::{Echo, Went, options, trust};

/// A round trip; in TLS 1.3 a client learns only then that it is refused.
async fn round_trip(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    stream.write_all(b"hello").await?;
    let mut back = [0; 5];
    stream.read_exact(&mut back).await?;
    assert_eq!(&back, b"hello");
    Ok(())
}

/// Connects, and says why the client is refused, if it is.
async fn attempt(echo: &Echo, authority: &Authority, own: Option<&Issued>, is_13: bool) -> io::Result<()> {
    let versions = if is_13 { [&TLS13] } else { [&TLS12] };
    let mut stream = connect(&authority.client(&versions, own), "localhost", echo.address).await?;
    round_trip(&mut stream).await
}

#[tokio::test]
async fn a_client_needs_a_certificate_of_the_authority_if_one_is_required() {
    let (authority, other) = (Authority::new("fleet"), Authority::new("other"));
    let server = authority.issue("server", &["localhost"], 1);
    let good = authority.issue("device1", &[], 2);
    let revoked = authority.issue("device2", &[], 3);
    let expired =
        authority.issue_with("device3", &[], 4, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let foreign = other.issue("device4", &[], 5);
    let issuer = authority.issue_with("device5", &[], 6, |params| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let crl = authority.revoke(&[3]);
    let required = options(&[&server], Clients::Required(trust(&authority, &[&crl])));
    let mut echo = Echo::start(&required).await;
    for is_13 in [true, false] {
        attempt(&echo, &authority, Some(&good), is_13).await.unwrap();
        let certificate = CertificateDer::from(echo.open().await.unwrap());
        assert!(Identity::Cn.allows(&certificate, "device1"));
        assert!(matches!(echo.next().await, Went::Ended(5) | Went::Failed(_)));
        for (own, at_the_server, at_the_client) in [
            (None, "peer sent no certificates", "CertificateRequired"),
            (Some(&revoked), "Revoked", "CertificateRevoked"),
            (Some(&expired), "certificate expired", "CertificateExpired"),
            (Some(&foreign), "UnknownIssuer", "UnknownCA"),
            (Some(&issuer), "CaUsedAsEndEntity", ""),
        ] {
            let err = attempt(&echo, &authority, own, is_13).await.unwrap_err().to_string();
            let why = echo.refused().await;
            assert!(why.contains(at_the_server), "{why}");
            assert!(err.contains(at_the_client), "{err}, expected {at_the_client}");
        }
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_welcome_if_it_is_optional() {
    let authority = Authority::new("fleet");
    let server = authority.issue("server", &["localhost"], 1);
    let other = Authority::new("other");
    let (good, foreign) = (authority.issue("device1", &[], 2), other.issue("device1", &[], 3));
    let mut echo = Echo::start(&options(&[&server], Clients::Optional(trust(&authority, &[])))).await;
    attempt(&echo, &authority, None, true).await.unwrap();
    assert_eq!(echo.open().await, None);
    echo.next().await;
    attempt(&echo, &authority, Some(&good), true).await.unwrap();
    assert!(echo.open().await.is_some());
    echo.next().await;
    attempt(&echo, &authority, Some(&foreign), true).await.unwrap_err();
    let why = echo.refused().await;
    assert!(why.contains("UnknownIssuer"), "{why}");
}

#[tokio::test]
async fn a_revoked_certificate_does_not_resume() {
    let authority = Authority::new("fleet");
    let server = authority.issue("server", &["localhost"], 1);
    let device = authority.issue("device1", &[], 2);
    let crl = authority.revoke(&[]);
    let required = options(&[&server], Clients::Required(trust(&authority, &[&crl])));
    for versions in [[&TLS13], [&TLS12]] {
        authority.revoke(&[]);
        let mut echo = Echo::start(&required).await;
        // The config of the client keeps its tickets.
        let client = authority.client(&versions, Some(&device));
        for resumed in [false, true] {
            let mut stream = connect(&client, "localhost", echo.address).await.unwrap();
            round_trip(&mut stream).await.unwrap();
            let kind = stream.get_ref().1.handshake_kind().unwrap();
            assert_eq!(kind == rustls::HandshakeKind::Resumed, resumed, "{kind:?}");
            assert!(echo.open().await.is_some());
            drop(stream);
            echo.next().await;
        }
        authority.revoke(&[2]);
        echo.reload(&required);
        let refused = async {
            let mut stream = connect(&client, "localhost", echo.address).await?;
            round_trip(&mut stream).await
        };
        refused.await.unwrap_err();
        let why = echo.refused().await;
        assert!(why.contains("Revoked"), "{why}");
    }
}

#[tokio::test]
async fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let authority = Authority::new("fleet");
    let first = authority.issue("first", &["one.example"], 1);
    let second = authority.issue("second", &["two.example", "*.two.example"], 2);
    let mut echo = Echo::start(&options(&[&first, &second], Clients::Anonymous)).await;
    let client = authority.client(&[&TLS13], None);
    for (name, is_right) in [
        ("one.example", true),
        ("two.example", true),
        ("a.TWO.example", true),
        ("a.b.two.example", false),
        ("three.example", false),
    ] {
        let connected = connect(&client, name, echo.address).await;
        assert_eq!(connected.is_ok(), is_right, "{name}");
        if !is_right {
            let why = echo.refused().await;
            assert!(why.contains("BadCertificate") || why.contains("CertificateUnknown"), "{why}");
        } else {
            echo.next().await;
            drop(connected);
            echo.next().await;
        }
    }
}

#[tokio::test]
async fn versions_below_the_minimum_are_refused() {
    let authority = Authority::new("fleet");
    let server = authority.issue("server", &["localhost"], 1);
    let mut only_13 = options(&[&server], Clients::Anonymous);
    only_13.min_version = Version::Tls13;
    let mut echo = Echo::start(&only_13).await;
    let err = attempt(&echo, &authority, None, false).await.unwrap_err().to_string();
    assert!(err.contains("ProtocolVersion"), "{err}");
    let why = echo.refused().await;
    assert!(why.contains("Tls12NotOffered") || why.contains("Tls13"), "{why}");
    attempt(&echo, &authority, None, true).await.unwrap();
}

#[test]
fn the_id_of_a_client_is_in_its_certificate() {
    let authority = Authority::new("fleet");
    let issued = authority.issue_with("device1", &["device2", "device3"], 1, |params| {
        params.subject_alt_names.push(rcgen::SanType::URI("urn:dev:4".try_into().unwrap()));
    });
    let pem = rustls::pki_types::pem::PemObject::from_pem_file(&issued.certificate);
    let certificate: CertificateDer<'_> = pem.unwrap();
    for (id, cn, san) in [
        ("device1", true, false),
        ("device2", false, true),
        ("device3", false, true),
        ("urn:dev:4", false, true),
        ("Device1", false, false),
        ("", false, false),
    ] {
        assert_eq!(Identity::Cn.allows(&certificate, id), cn, "{id}");
        assert_eq!(Identity::San.allows(&certificate, id), san, "{id}");
    }
    assert!(!Identity::Cn.allows(&CertificateDer::from(vec![1, 2, 3]), "device1"));
}
