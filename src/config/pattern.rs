//! An entry of the list of known ids.

use std::fmt;

use crate::access::{BadNetwork, Networks};
use crate::protocol::{BadClientId, ClientId};

/// The word between ids and the networks from which they may come.
const FROM: &str = " from ";

/// Known ids, and the networks from which they may come: `client0012`, `dev-*`, `gate-7 from 10.0.0.0/8 192.0.2.7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPattern {
    /// The ids.
    pub ids: Ids,
    /// The networks from which they may come.
    pub networks: Networks,
}

/// One id, or all ids with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// `client0012`
    Exact(ClientId),
    /// `client*`: the text before the `*`; empty for `*`, which matches every id.
    Prefix(String),
}

impl TryFrom<&str> for ClientPattern {
    type Error = BadPattern;

    fn try_from(text: &str) -> Result<Self, BadPattern> {
        let Some((ids, networks)) = text.rsplit_once(FROM) else {
            return Ok(Self { ids: text.try_into()?, networks: Networks::Any });
        };
        match networks.parse()? {
            Networks::Any => Err(BadPattern::NoNetworks { got: text.into() }),
            networks => Ok(Self { ids: ids.try_into()?, networks }),
        }
    }
}

impl TryFrom<&str> for Ids {
    type Error = BadPattern;

    fn try_from(text: &str) -> Result<Self, BadPattern> {
        let (prefix, exact) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, false),
            None => (text, true),
        };
        if prefix.contains('*') {
            return Err(BadPattern::Star { got: text.into() });
        }
        if prefix.is_empty() && !exact {
            return Ok(Self::Prefix(String::new()));
        }
        let id = ClientId::try_from(prefix)?;
        Ok(if exact { Self::Exact(id) } else { Self::Prefix(id.as_str().into()) })
    }
}

/// The notation of the file.
impl fmt::Display for ClientPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.networks {
            Networks::Any => write!(f, "{}", self.ids),
            networks => write!(f, "{}{FROM}{networks}", self.ids),
        }
    }
}

/// The notation of the file.
impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(id) => write!(f, "{id}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Why a text is not a [`ClientPattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// A `*` before the end.
    #[error("`*` is allowed only at the end, as in \"dev-*\", not as in {got:?}")]
    Star {
        /// The pattern.
        got: String,
    },
    /// The text before the `*` cannot be (the beginning of) an id.
    #[error(transparent)]
    Id(#[from] BadClientId),
    /// Nothing behind `from`.
    #[error("expected networks behind `from`, as in \"gate-7 from 10.0.0.0/8 192.0.2.7\", not {got:?}")]
    NoNetworks {
        /// The pattern.
        got: String,
    },
    /// What stands behind `from` are not networks.
    #[error("expected networks behind `from`, as in \"gate-7 from 10.0.0.0/8 192.0.2.7\": {0}")]
    Networks(#[from] BadNetwork),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Result<ClientPattern, BadPattern> {
        ClientPattern::try_from(text)
    }

    #[test]
    fn networks_stand_behind_the_last_from() {
        let id = |text: &str| Ids::Exact(ClientId::try_from(text).unwrap());
        for (text, ids, networks) in [
            ("gate-7", id("gate-7"), ""),
            ("gate-7 from 10.0.0.0/8", id("gate-7"), "10.0.0.0/8"),
            ("pump 7 from 10.0.0.0/8 ::1", id("pump 7"), "10.0.0.0/8 ::1"),
            ("dev-* from 10.1.2.3", Ids::Prefix("dev-".into()), "10.1.2.3"),
            ("* from 10.0.0.0/8", Ids::Prefix(String::new()), "10.0.0.0/8"),
            ("news from home from 0.0.0.0/0 ::/0", id("news from home"), "0.0.0.0/0 ::/0"),
            ("from", id("from"), ""),
            ("from 10.0.0.0/8", id("from 10.0.0.0/8"), ""),
        ] {
            let networks = networks.parse().unwrap();
            assert_eq!(pattern(text), Ok(ClientPattern { ids, networks }), "{text}");
            assert_eq!(pattern(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_mistake_behind_from_is_not_a_part_of_the_id() {
        let told = |text| pattern(text).unwrap_err().to_string();
        for text in ["gate-7 from 10.0.0.0/33", "gate-7 from ", "gate-7 from home", "a from 10.0.0.1 home"] {
            assert!(told(text).starts_with("expected networks behind `from`"), "{}", told(text));
        }
        assert!(told(" from 10.0.0.0/8").starts_with("invalid id length 0"));
        assert!(told("a*b from 10.0.0.0/8").starts_with("`*` is allowed only at the end"));
    }
}
