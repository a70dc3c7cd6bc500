//! TLS of the listeners of a config: its files, loaded.

use std::sync::Arc;
use std::time::SystemTime;

use log::warn;

use crate::config::{self, ClientCertificates, Config, IdentityFrom, TlsVersion};
use crate::listener::tls::{Clients, FileError, Identity, KeyPair, Loaded, Options, Trust, Version};

/// A file of a listener's TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener:?}: {cause}")]
pub struct TlsError {
    listener: String,
    cause: FileError,
}

/// The certificates of each listener with TLS, by its name, as a start loads them.
pub fn certificates(config: &Config) -> Result<Vec<(String, Loaded)>, TlsError> {
    let of = |listener: &config::Listener| {
        let loaded = read(listener).transpose()?;
        Some(loaded.map(|loaded| (listener.name.clone(), loaded)))
    };
    config.listeners.iter().filter_map(of).collect()
}

/// What a listener needs for TLS, if it has it. Warnings are logged.
pub(super) fn load(listener: &config::Listener) -> Result<Option<Arc<Loaded>>, TlsError> {
    let loaded = read(listener)?;
    let warnings = loaded.iter().flat_map(|loaded| &loaded.warnings);
    warnings.for_each(|warning| warn!("listener {}: {warning}", listener.name));
    Ok(loaded.map(Arc::new))
}

fn read(listener: &config::Listener) -> Result<Option<Loaded>, TlsError> {
    if !listener.tls.is_on() {
        return Ok(None);
    }
    let loaded = options(&listener.tls).load(SystemTime::now());
    loaded.map(Some).map_err(|cause| TlsError { listener: listener.name.clone(), cause })
}

fn options(tls: &config::Tls) -> Options {
    let pairs = tls.certificates.iter().zip(&tls.keys);
    let pairs =
        pairs.map(|(certificate, key)| KeyPair { certificate: certificate.clone(), key: key.clone() });
    let trust = || Trust { ca: tls.client_ca.clone().unwrap_or_default(), crls: tls.client_crls.clone() };
    Options {
        certificates: pairs.collect(),
        min_version: match tls.min_version {
            TlsVersion::Tls12 => Version::Tls12,
            TlsVersion::Tls13 => Version::Tls13,
        },
        clients: match tls.client_certificates {
            ClientCertificates::Off => Clients::Anonymous,
            ClientCertificates::Optional => Clients::Optional(trust()),
            ClientCertificates::Required => Clients::Required(trust()),
        },
        identity: match tls.identity {
            IdentityFrom::Off => None,
            IdentityFrom::Cn => Some(Identity::Cn),
            IdentityFrom::San => Some(Identity::San),
        },
        handshake_timeout: tls.handshake_timeout,
        max_handshakes: tls.max_handshakes,
    }
}
