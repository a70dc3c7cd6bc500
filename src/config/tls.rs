//! `[listener.tls]`: what TLS is to be, with the files by name only.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The files of the server's certificates; none is TLS off. The first is for clients that ask for no name, or for
    /// another one.
    pub certificates: Vec<PathBuf>,
    /// The files of their keys, in the same order.
    pub keys: Vec<PathBuf>,
    /// The oldest version that is accepted.
    pub min_version: TlsVersion,
    /// Whether clients have certificates.
    pub client_certificates: ClientCertificates,
    /// The file of the certificates that issue those of clients.
    pub client_ca: Option<PathBuf>,
    /// The files of revoked certificates of clients.
    pub client_crls: Vec<PathBuf>,
    /// The part of a client's certificate that must be its id.
    pub identity: IdentityFrom,
    /// Time from the connection to the end of its handshake.
    pub handshake_timeout: Duration,
    /// Maximum handshakes in progress, at least 1.
    pub max_handshakes: usize,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// Whether clients have certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for one.
    Off,
    /// They may have one.
    Optional,
    /// They must have one.
    Required,
}

/// The part of a client's certificate that must be its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityFrom {
    /// None.
    Off,
    /// The common name.
    Cn,
    /// One of the subject alternative names.
    San,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            keys: Vec::new(),
            min_version: TlsVersion::Tls12,
            client_certificates: ClientCertificates::Off,
            client_ca: None,
            client_crls: Vec::new(),
            identity: IdentityFrom::Off,
            handshake_timeout: Duration::from_secs(5),
            max_handshakes: 1000,
        }
    }
}

impl Tls {
    /// Whether the listener speaks TLS.
    pub const fn is_on(&self) -> bool {
        !self.certificates.is_empty()
    }

    /// Whether clients may have certificates.
    pub fn asks_clients(&self) -> bool {
        self.client_certificates != ClientCertificates::Off
    }

    /// Lets relative paths start at this folder.
    pub(super) fn start_at(&mut self, folder: &Path) {
        let lists = self.certificates.iter_mut().chain(&mut self.keys).chain(&mut self.client_crls);
        lists.chain(&mut self.client_ca).for_each(|path| *path = folder.join(&path));
    }

    /// The first contradiction: the key that is wrong, and why.
    pub(super) fn contradiction(&self) -> Option<(&'static str, String)> {
        let (certificates, keys) = (self.certificates.len(), self.keys.len());
        if certificates != keys {
            let message = format!(
                "each certificate needs its key at the same position: there are {certificates} and {keys}"
            );
            return Some(("keys", message));
        }
        if self.asks_clients() && self.client_ca.is_none() {
            return Some(("client_certificates", "certificates of clients need a `client_ca`".into()));
        }
        if self.identity != IdentityFrom::Off && self.client_certificates != ClientCertificates::Required {
            let message = "`identity` needs client_certificates = \"required\", because a client without a certificate could \
                           use any id";
            return Some(("identity", message.into()));
        }
        None
    }
}
