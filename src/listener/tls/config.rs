//! The config of rustls, from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};

use super::files::{self, FileError};
use super::names::{self, Identity, Summary};
use super::resolver::Resolver;

/// TLS as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The certificates and their keys; at least one. The first is for clients that ask for no name, or for another one.
    pub certificates: Vec<KeyPair>,
    /// The oldest version that is accepted.
    pub min_version: Version,
    /// Whether clients have certificates.
    pub clients: Clients,
    /// The part of a client's certificate that must be its id.
    pub identity: Option<Identity>,
    /// Time from the connection to the end of its handshake.
    pub handshake_timeout: Duration,
    /// Maximum handshakes in progress.
    pub max_handshakes: usize,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// The file of the certificate, followed by those of its issuers.
    pub certificate: PathBuf,
    /// The file of the key.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// What is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    /// No certificate.
    Anonymous,
    /// A certificate, or none.
    Optional(Trust),
    /// A certificate.
    Required(Trust),
}

/// Which certificates of clients are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The file of the certificates that issue those of clients.
    pub ca: PathBuf,
    /// Files of revoked certificates. If there is one, each issuer needs one.
    pub crls: Vec<PathBuf>,
}

/// TLS that is ready for connections.
///
/// Two of them are equal only if they are the same one: what they were loaded from may have changed in between.
#[derive(Debug)]
pub struct Loaded {
    /// For new connections.
    pub config: Arc<ServerConfig>,
    /// See [`Options::identity`].
    pub identity: Option<Identity>,
    /// See [`Options::handshake_timeout`].
    pub handshake_timeout: Duration,
    /// See [`Options::max_handshakes`].
    pub max_handshakes: usize,
    /// The certificates of the server, in their order, with their files.
    pub certificates: Vec<(PathBuf, Summary)>,
    /// What works, but not as it should or not for long.
    pub warnings: Vec<String>,
}

impl PartialEq for Loaded {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Loaded {}

impl Options {
    /// TLS with these certificates, for clients without certificates.
    pub const fn new(certificates: Vec<KeyPair>) -> Self {
        Self {
            certificates,
            min_version: Version::Tls12,
            clients: Clients::Anonymous,
            identity: None,
            handshake_timeout: Duration::from_secs(5),
            max_handshakes: 1000,
        }
    }

    /// Reads all files. Sessions of an earlier config are not resumed, because their certificates may have been revoked.
    pub fn load(&self, now: SystemTime) -> Result<Loaded, FileError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut warnings = Vec::new();
        let mut certificates = Vec::new();
        let mut keys = Vec::new();
        for pair in &self.certificates {
            let (key, summary) = pair.load(&provider)?;
            warnings.extend(pair.warnings(&summary, now));
            keys.push((key, summary.names.clone()));
            certificates.push((pair.certificate.clone(), summary));
        }
        let verifier = self.clients.verifier(&provider, now, &mut warnings)?;
        let unusable = |err: rustls::Error| FileError::unusable(self.first(), err);
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.min_version.and_newer())
            .map_err(unusable)?;
        let mut config =
            builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(Resolver::new(keys)));
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
        config.send_tls13_tickets = 1;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let Self { identity, handshake_timeout, max_handshakes, .. } = *self;
        let config = Arc::new(config);
        Ok(Loaded { config, identity, handshake_timeout, max_handshakes, certificates, warnings })
    }

    fn first(&self) -> &Path {
        self.certificates.first().map_or(Path::new(""), |pair| &pair.certificate)
    }
}

impl KeyPair {
    fn load(&self, provider: &CryptoProvider) -> Result<(Arc<CertifiedKey>, Summary), FileError> {
        let chain = files::certificates(&self.certificate)?;
        let summary = chain.first().and_then(Summary::of);
        let summary = summary.ok_or_else(|| FileError::unusable(&self.certificate, "no certificate"))?;
        let key = files::key(&self.key)?;
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|err| FileError::unusable(&self.key, err))?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|err| match err {
            rustls::Error::InconsistentKeys(_) => FileError::foreign_key(&self.key, &self.certificate),
            other => FileError::unusable(&self.certificate, other),
        })?;
        Ok((Arc::new(certified), summary))
    }

    fn warnings(&self, summary: &Summary, now: SystemTime) -> Vec<String> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let mut warnings = Vec::new();
        if summary.until < now {
            warnings.push(format!("{certificate}: the certificate has expired; clients will reject it"));
        }
        if summary.from > now {
            warnings.push(format!("{certificate}: the certificate is not valid yet; clients will reject it"));
        }
        if files::is_open_to_others(&self.key) {
            warnings.push(format!("{key}: other users may read or change the key; `chmod 600 {key}`"));
        }
        warnings
    }
}

impl Clients {
    /// Who may connect, with what kind of certificate.
    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
        now: SystemTime,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<dyn ClientCertVerifier>, FileError> {
        let (trust, optional) = match self {
            Self::Anonymous => return Ok(WebPkiClientVerifier::no_client_auth()),
            Self::Optional(trust) => (trust, true),
            Self::Required(trust) => (trust, false),
        };
        let (roots, mut crls) = (trust.roots()?, Vec::new());
        for path in &trust.crls {
            let lists = files::revocation_lists(path)?;
            if lists.iter().filter_map(names::next_update).any(|next| next < now) {
                warnings
                    .push(format!("{}: the revocation list is out of date; get a new one", path.display()));
            }
            crls.extend(lists);
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = builder.with_crls(crls).only_check_end_entity_revocation();
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(|err| FileError::unusable(&trust.ca, err))
    }
}

impl Trust {
    fn roots(&self) -> Result<RootCertStore, FileError> {
        let mut roots = RootCertStore::empty();
        for certificate in files::certificates(&self.ca)? {
            roots.add(certificate).map_err(|err| FileError::unusable(&self.ca, err))?;
        }
        Ok(roots)
    }
}

impl Version {
    const fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        const FROM_12: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
        const FROM_13: &[&SupportedProtocolVersion] = &[&TLS13];
        match self {
            Self::Tls12 => FROM_12,
            Self::Tls13 => FROM_13,
        }
    }
}
