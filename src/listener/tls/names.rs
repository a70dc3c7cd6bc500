//! What certificates say: whom they belong to, and until when.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

/// The part of a client's certificate that is the id of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The common name of the subject, of which there must be one.
    Cn,
    /// Any of the subject alternative names: DNS names, e-mail addresses and URIs.
    San,
}

impl Identity {
    /// Whether the certificate is one of the client with this id.
    pub fn allows(self, certificate: &CertificateDer<'_>, id: &str) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
        match self {
            Self::Cn => common_name(&certificate) == Some(id),
            Self::San => alternative_names(&certificate).any(|name| name == id),
        }
    }
}

/// A certificate, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its subject.
    pub subject: String,
    /// The DNS names that it is for, in lower case.
    pub names: Vec<String>,
    /// The first moment at which it is valid.
    pub from: SystemTime,
    /// The last moment at which it is valid.
    pub until: SystemTime,
}

impl Summary {
    /// The summary of a certificate that can be parsed.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Some(Self {
            subject: certificate.subject().to_string(),
            names: dns_names(&certificate),
            from: time(certificate.validity().not_before),
            until: time(certificate.validity().not_after),
        })
    }
}

/// When the next list of revoked certificates should be there.
pub(super) fn next_update(list: &CertificateRevocationListDer<'_>) -> Option<SystemTime> {
    let (_, list) = CertificateRevocationList::from_der(list).ok()?;
    list.next_update().map(time)
}

/// The common name, if there is only one.
fn common_name<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a str> {
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?;
    names.next().is_none().then_some(name)
}

fn alternative_names<'a>(certificate: &'a X509Certificate<'_>) -> impl Iterator<Item = &'a str> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some(*name),
        _ => None,
    })
}

/// The names that clients may ask for. Without alternative names, it is the common name.
fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().filter_map(dns_name).collect(),
        _ => common_name(certificate).map(str::to_ascii_lowercase).into_iter().collect(),
    }
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::DNSName(name) = name else { return None };
    Some(name.to_ascii_lowercase())
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let moment = if time.timestamp() < 0 { epoch.checked_sub(seconds) } else { epoch.checked_add(seconds) };
    moment.unwrap_or(epoch)
}
