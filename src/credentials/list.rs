//! The ids of the config: exact ids and prefixes.

use std::collections::HashSet;
use std::future::ready;

use super::{Checking, Credentials, Denied};
use crate::config::ClientPattern;
use crate::protocol::ClientId;

/// A fixed list, held in memory.
#[derive(Debug)]
pub struct List {
    exact: HashSet<ClientId>,
    prefixes: Vec<String>,
}

impl List {
    /// The list of these patterns.
    pub fn new(patterns: &[ClientPattern]) -> Self {
        let mut list = Self { exact: HashSet::new(), prefixes: Vec::new() };
        for pattern in patterns {
            match pattern {
                ClientPattern::Exact(id) => {
                    list.exact.insert(id.clone());
                }
                ClientPattern::Prefix(prefix) => list.prefixes.push(prefix.clone()),
            }
        }
        list
    }

    fn knows(&self, client: &ClientId) -> bool {
        self.exact.contains(client)
            || self.prefixes.iter().any(|prefix| client.as_str().starts_with(prefix.as_str()))
    }
}

impl Credentials for List {
    fn check(&self, client: &ClientId) -> Checking {
        let known = self.knows(client).then_some(()).ok_or(Denied::Unknown);
        Box::pin(ready(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ClientId {
        ClientId::try_from(text).unwrap()
    }

    #[test]
    fn exact_ids_and_prefixes() {
        let list = List::new(&[ClientPattern::Exact(id("client0012")), ClientPattern::Prefix("dev".into())]);
        assert!(list.knows(&id("client0012")));
        assert!(!list.knows(&id("client00123")));
        assert!(list.knows(&id("dev")));
        assert!(list.knows(&id("dev7")));
        assert!(!list.knows(&id("de")));
    }

    #[test]
    fn the_empty_prefix_matches_every_id_and_the_empty_list_none() {
        assert!(List::new(&[ClientPattern::Prefix(String::new())]).knows(&id("x")));
        assert!(!List::new(&[]).knows(&id("x")));
    }
}
