//! The choice of the server's certificate by the name that the client asks for (SNI).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates of a listener, in the order of the config; at least one.
#[derive(Debug)]
pub(super) struct Resolver {
    keys: Vec<Arc<CertifiedKey>>,
    /// Which of them have this name, in lower case; `*.` stands for any first label.
    by_name: HashMap<String, Vec<usize>>,
}

impl Resolver {
    /// The certificates with their names.
    pub(super) fn new(certificates: impl IntoIterator<Item = (Arc<CertifiedKey>, Vec<String>)>) -> Self {
        let mut resolver = Self { keys: Vec::new(), by_name: HashMap::new() };
        for (index, (key, names)) in certificates.into_iter().enumerate() {
            resolver.keys.push(key);
            names.into_iter().for_each(|name| resolver.by_name.entry(name).or_default().push(index));
        }
        resolver
    }

    /// The certificates for a name, or all if no certificate is for it.
    fn candidates(&self, name: Option<&str>) -> Vec<&Arc<CertifiedKey>> {
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let wildcard = || Some(format!("*.{}", name.split_once('.')?.1));
        let found = self.by_name.get(&name).or_else(|| self.by_name.get(&wildcard()?));
        match found {
            Some(found) => found.iter().filter_map(|index| self.keys.get(*index)).collect(),
            None => self.keys.iter().collect(),
        }
    }
}

impl ResolvesServerCert for Resolver {
    /// The first candidate with a signature that the client knows.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(hello.server_name());
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        candidates.iter().copied().find(fits).or(candidates.first().copied()).cloned()
    }
}
