//! TLS of a device: which servers it trusts, and its own certificate.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a device speaks TLS.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
}

/// Which servers a device trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those with a certificate for their name of an authority in this PEM file.
    Ca(PathBuf),
    /// All: somebody else may pretend to be the server. For tests only.
    Anybody,
}

/// A certificate and its key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The file of the certificate, followed by those of its issuers.
    pub certificate: PathBuf,
    /// The file of the key.
    pub key: PathBuf,
}

/// TLS cannot be set up. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: {cause}")]
pub struct TlsError {
    /// A file, or the name of the server.
    subject: String,
    cause: String,
}

impl TlsError {
    fn of(subject: impl Display, cause: impl Display) -> Self {
        Self { subject: subject.to_string(), cause: cause.to_string() }
    }

    fn file(path: &Path, cause: impl Display) -> Self {
        Self::of(path.display(), cause)
    }
}

impl Tls {
    /// TLS with a server of this name: a DNS name or an IP address. `own` is the certificate of the device.
    pub fn new(server: &str, trust: &Trust, own: Option<&Certificate>) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            Trust::Ca(path) => {
                WebPkiServerVerifier::builder_with_provider(roots(path)?, Arc::clone(&provider))
                    .build()
                    .map_err(|err| TlsError::file(path, err))?
            }
            Trust::Anybody => Arc::new(Credulous(Arc::clone(&provider))),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|err| TlsError::of(server, err))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder
                .with_client_auth_cert(certificates(&own.certificate)?, own.key()?)
                .map_err(|err| TlsError::file(&own.certificate, err))?,
        };
        let server = ServerName::try_from(server.to_owned()).map_err(|err| TlsError::of(server, err))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server })
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.server.clone(), stream).await
    }
}

impl Certificate {
    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_file(&self.key).map_err(|err| TlsError::file(&self.key, err))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |err| TlsError::file(path, err);
    let all = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(failed)?;
    if all.is_empty() {
        Err(TlsError::file(path, "expected a certificate in PEM, found none"))
    } else {
        Ok(all)
    }
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    // A file of a system may have one that this library rejects.
    let (added, _) = roots.add_parsable_certificates(certificates(path)?);
    if added == 0 {
        return Err(TlsError::file(path, "none of the certificates can be used"));
    }
    Ok(Arc::new(roots))
}

/// Trusts every certificate. Its signatures must be right, or nothing could be read.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
