//! The ids of the config: exact ids and prefixes.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::ready;
use std::net::IpAddr;

use super::{Checking, Credentials, Denied};
use crate::access::Networks;
use crate::config::{ClientPattern, Ids};
use crate::protocol::ClientId;

/// A fixed list, held in memory. Of the entries that match an id, the most specific ones decide: those with the id itself,
/// or else those with the longest prefix.
#[derive(Debug)]
pub struct List {
    exact: HashMap<ClientId, Vec<Networks>>,
    /// The longest first.
    prefixes: Vec<(String, Vec<Networks>)>,
}

impl List {
    /// The list of these patterns.
    pub fn new(patterns: &[ClientPattern]) -> Self {
        let (mut exact, mut prefixes) = (HashMap::new(), HashMap::new());
        for ClientPattern { ids, networks } in patterns {
            let of_ids: &mut Vec<_> = match ids {
                Ids::Exact(id) => exact.entry(id.clone()).or_default(),
                Ids::Prefix(prefix) => prefixes.entry(prefix.clone()).or_default(),
            };
            of_ids.push(networks.clone());
        }
        let mut prefixes: Vec<_> = prefixes.into_iter().collect();
        prefixes.sort_by_key(|(prefix, _)| Reverse(prefix.len()));
        Self { exact, prefixes }
    }

    fn check(&self, client: &ClientId, peer: IpAddr) -> Result<(), Denied> {
        let networks = self.networks(client).ok_or(Denied::Unknown)?;
        let admits = networks.iter().any(|networks| networks.admit(peer));
        admits.then_some(()).ok_or(Denied::Elsewhere)
    }

    fn networks(&self, client: &ClientId) -> Option<&[Networks]> {
        let by_prefix =
            || self.prefixes.iter().find(|(prefix, _)| client.as_str().starts_with(prefix.as_str()));
        let networks = self.exact.get(client).or_else(|| by_prefix().map(|(_, networks)| networks));
        networks.map(Vec::as_slice)
    }
}

impl Credentials for List {
    fn check(&self, client: &ClientId, peer: IpAddr) -> Checking {
        Box::pin(ready(self.check(client, peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(patterns: &[&str]) -> List {
        let patterns: Vec<_> = patterns.iter().map(|text| ClientPattern::try_from(*text).unwrap()).collect();
        List::new(&patterns)
    }

    fn check(list: &List, id: &str, peer: &str) -> Result<(), Denied> {
        list.check(&ClientId::try_from(id).unwrap(), peer.parse().unwrap())
    }

    fn knows(list: &List, id: &str) -> bool {
        check(list, id, "192.0.2.7").is_ok()
    }

    #[test]
    fn exact_ids_and_prefixes() {
        let list = list(&["client0012", "dev*"]);
        assert!(knows(&list, "client0012"));
        assert!(!knows(&list, "client00123"));
        assert!(knows(&list, "dev"));
        assert!(knows(&list, "dev7"));
        assert!(!knows(&list, "de"));
    }

    #[test]
    fn the_empty_prefix_matches_every_id_and_the_empty_list_none() {
        assert!(knows(&list(&["*"]), "x"));
        assert_eq!(check(&list(&[]), "x", "::1"), Err(Denied::Unknown));
    }

    #[test]
    fn the_most_specific_entries_decide_from_where_an_id_may_come() {
        let list = list(&[
            "*",
            "gate-* from 10.0.0.0/8",
            "gate-7 from 192.0.2.7",
            "gate-7 from 2001:db8::/32",
            "gate-1*",
        ]);
        for (id, peer, expected) in [
            ("x", "203.0.113.1", Ok(())),
            ("gate-2", "10.1.2.3", Ok(())),
            ("gate-2", "::ffff:10.1.2.3", Ok(())),
            ("gate-2", "203.0.113.1", Err(Denied::Elsewhere)),
            ("gate-7", "192.0.2.7", Ok(())),
            ("gate-7", "2001:db8::1", Ok(())),
            ("gate-7", "10.1.2.3", Err(Denied::Elsewhere)),
            ("gate-12", "203.0.113.1", Ok(())),
        ] {
            assert_eq!(check(&list, id, peer), expected, "{id} {peer}");
        }
    }
}
