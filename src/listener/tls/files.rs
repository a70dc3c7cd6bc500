//! The files of TLS: certificates, keys, and lists of revoked certificates, in PEM. An error names the file, the line and the
//! remedy.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// The most bytes of a file. A list of revoked certificates may be long.
const MOST: u64 = 64 << 20;

/// The permissions that a key has for strangers: none.
const STRANGERS: u32 = 0o027;

/// A file of TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Read(io::Error),
    #[error("larger than {MOST} bytes, expected a PEM file")]
    TooLarge,
    #[error("expected a PEM file, got DER; convert it with `openssl {0} -inform DER -in FILE -out FILE.pem`")]
    Der(&'static str),
    #[error("expected `-----BEGIN {expected}-----`, {}", listed(.found))]
    Nothing { expected: &'static str, found: Vec<String> },
    #[error("line {line}: {}", pem_problem(.err))]
    Pem { line: usize, err: pem::Error },
    #[error("line {line}: expected {expected}: {err}")]
    Content { line: usize, expected: &'static str, err: String },
    #[error(
        "line {line}: the key is encrypted; store it without a passphrase: `openssl pkey -in FILE -out FILE.key`"
    )]
    Encrypted { line: usize },
    #[error("the key does not belong to the certificate in {}; each key stands at the position of its certificate", .0.display())]
    Foreign(PathBuf),
    #[error("{0}")]
    Unusable(String),
}

impl FileError {
    fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.into(), problem }
    }

    /// The key in the file is not that of the certificate.
    pub(super) fn foreign_key(path: &Path, certificate: &Path) -> Self {
        Self::new(path, Problem::Foreign(certificate.into()))
    }

    /// rustls does not accept the content of the file.
    pub(super) fn unusable(path: &Path, cause: impl ToString) -> Self {
        Self::new(path, Problem::Unusable(cause.to_string()))
    }
}

fn listed(found: &[String]) -> String {
    match found {
        [] => "found no PEM section".into(),
        some => format!("found only {}", some.join(", ")),
    }
}

fn pem_problem(err: &pem::Error) -> String {
    match err {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!(
                "the section has no line `-----END {}-----`; the file is cut off",
                String::from_utf8_lossy(end_marker)
            )
        }
        pem::Error::Base64Decode(cause) => format!("the section is not valid base64: {cause}"),
        pem::Error::IllegalSectionStart { .. } => {
            "the line must end with `-----`, as in `-----BEGIN CERTIFICATE-----`".into()
        }
        other => other.to_string(),
    }
}

/// The certificates of a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let bytes = read(path, "x509")?;
    items(path, &bytes, "CERTIFICATE", &["CERTIFICATE"], |der: &CertificateDer<'_>| {
        X509Certificate::from_der(der).map(drop).map_err(|err| ("an X.509 certificate", err.to_string()))
    })
}

/// The lists of revoked certificates in a file, at least one.
pub(super) fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, FileError> {
    let bytes = read(path, "crl")?;
    items(path, &bytes, "X509 CRL", &["X509 CRL"], |der: &CertificateRevocationListDer<'_>| {
        CertificateRevocationList::from_der(der)
            .map(drop)
            .map_err(|err| ("an X.509 revocation list", err.to_string()))
    })
}

/// The private key of a file: its first one.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let bytes = read(path, "pkey")?;
    if let Some(section) = sections(&bytes).find(|section| section.label == "ENCRYPTED PRIVATE KEY") {
        return Err(FileError::new(path, Problem::Encrypted { line: section.line }));
    }
    let labels = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    let mut keys = items(path, &bytes, "PRIVATE KEY", &labels, |_: &PrivateKeyDer<'_>| Ok(()))?;
    Ok(keys.swap_remove(0))
}

/// Whether other users of the machine may read or change the key.
pub(super) fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & STRANGERS != 0)
}

fn read(path: &Path, command: &'static str) -> Result<Vec<u8>, FileError> {
    let failed = |err| FileError::new(path, Problem::Read(err));
    if fs::metadata(path).map_err(failed)?.len() > MOST {
        return Err(FileError::new(path, Problem::TooLarge));
    }
    let bytes = fs::read(path).map_err(failed)?;
    match bytes.first() {
        // An ASN.1 sequence.
        Some(0x30) => Err(FileError::new(path, Problem::Der(command))),
        _ => Ok(bytes),
    }
}

/// All sections with one of these labels, at least one.
fn items<T: PemObject>(
    path: &Path,
    bytes: &[u8],
    expected: &'static str,
    labels: &[&str],
    check: impl Fn(&T) -> Result<(), (&'static str, String)>,
) -> Result<Vec<T>, FileError> {
    let (right, other): (Vec<_>, Vec<_>) =
        sections(bytes).partition(|section| labels.contains(&section.label.as_str()));
    if right.is_empty() {
        let found = other.into_iter().map(|section| section.label).collect();
        return Err(FileError::new(path, Problem::Nothing { expected, found }));
    }
    let item = |Section { line, bytes, .. }: &Section<'_>| {
        let line = *line;
        let item = T::from_pem_slice(bytes).map_err(|err| Problem::Pem { line, err })?;
        check(&item).map_err(|(expected, err)| Problem::Content { line, expected, err })?;
        Ok(item)
    };
    right.iter().map(item).collect::<Result<_, _>>().map_err(|problem| FileError::new(path, problem))
}

/// A section of a PEM file: from its first line to the next section.
struct Section<'a> {
    /// Counted from 1.
    line: usize,
    label: String,
    bytes: &'a [u8],
}

fn sections(bytes: &[u8]) -> impl Iterator<Item = Section<'_>> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    });
    let heads = lines.enumerate().filter(|(_, (_, line))| line.starts_with(BEGIN));
    let heads: Vec<_> = heads.map(|(index, (start, line))| (index + 1, start, line)).collect();
    let ends: Vec<_> = heads.iter().skip(1).map(|(_, start, _)| *start).chain([bytes.len()]).collect();
    heads.into_iter().zip(ends).map(|((line, start, head), end)| {
        let label = String::from_utf8_lossy(head.get(BEGIN.len()..).unwrap_or_default());
        let label = label.trim_end().trim_end_matches('-').into();
        Section { line, label, bytes: bytes.get(start..end).unwrap_or_default() }
    })
}
