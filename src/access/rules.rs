//! Lists of `allow` and `deny`. The first rule that matches an address decides, and the last one matches every address.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::networks::{BadNetwork, Shown, parse_network};

/// The addresses that may connect: ordered rules, each of them reachable. By default, all addresses may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    nets: Vec<(Verdict, IpNet)>,
    all: Verdict,
}

impl Rules {
    /// Parses rules, one per line: `allow` or `deny`, then `all`, an address, or a network such as `192.168.0.0/24`,
    /// whose host bits are ignored. The last line, and only the last, is for `all`. Returns an error for each invalid
    /// line.
    pub fn parse<S: AsRef<str>>(lines: &[S]) -> Result<Self, Vec<BadRule>> {
        let Some(last) = lines.len().checked_sub(1) else {
            return Err(vec![BadRule { index: 0, problem: Problem::Empty }]);
        };
        let mut rules = Self { nets: Vec::new(), all: Verdict::Deny };
        let mut bad = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            match (Rule::parse(line.as_ref()), index == last) {
                (Ok(Rule { verdict, whom: Whom::Net(net) }), false) => rules.nets.push((verdict, net)),
                (Ok(Rule { verdict, whom: Whom::All }), true) => rules.all = verdict,
                (Ok(Rule { whom: Whom::All, .. }), false) => {
                    bad.push(BadRule { index, problem: Problem::Early })
                }
                (Ok(Rule { whom: Whom::Net(_), .. }), true) => {
                    bad.push(BadRule { index, problem: Problem::Open })
                }
                (Err(problem), _) => bad.push(BadRule { index, problem }),
            }
        }
        if bad.is_empty() { Ok(rules) } else { Err(bad) }
    }

    /// Whether a peer with this address may connect. An IPv4 address in IPv6 form (`::ffff:1.2.3.4`) counts as IPv4.
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let first = self.nets.iter().find(|(_, net)| net.contains(&peer));
        first.map_or(self.all, |(verdict, _)| *verdict) == Verdict::Allow
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { nets: Vec::new(), all: Verdict::Allow }
    }
}

/// The rules in normal form, in order, separated by commas.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (verdict, net) in &self.nets {
            write!(f, "{verdict} {}, ", Shown(net))?;
        }
        write!(f, "{} all", self.all)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allow,
    Deny,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// One line by itself.
struct Rule {
    verdict: Verdict,
    whom: Whom,
}

enum Whom {
    All,
    Net(IpNet),
}

impl Rule {
    fn parse(line: &str) -> Result<Self, Problem> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verdict, whom) = match *words.as_slice() {
            ["allow", whom] => (Verdict::Allow, whom),
            ["deny", whom] => (Verdict::Deny, whom),
            _ => return Err(Problem::NoRule { got: line.into() }),
        };
        let whom = if whom == "all" { Whom::All } else { Whom::Net(parse_net(whom)?) };
        Ok(Self { verdict, whom })
    }
}

fn parse_net(text: &str) -> Result<IpNet, Problem> {
    parse_network(text).map_err(|bad| match bad {
        BadNetwork::NoNetwork { got } => Problem::NoNet { got },
        BadNetwork::Prefix { got, most } => Problem::Prefix { got, most },
    })
}

/// An invalid line in a list of rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct BadRule {
    /// The line, counted from 0.
    pub index: usize,
    /// The error in it.
    pub problem: Problem,
}

/// An error in a rule or in its position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The list is empty.
    #[error("no rules: expected at least `allow all` or `deny all`")]
    Empty,
    /// Not two words with a verdict first.
    #[error("invalid rule {got:?}, expected `allow` or `deny`, then `all`, an address or a network")]
    NoRule {
        /// The line.
        got: String,
    },
    /// The second word is not a valid target.
    #[error(
        "{got:?} is neither `all` nor an address such as 192.168.0.7 or fe80::1 \
         nor a network such as 192.168.0.0/24 or fe80::/10"
    )]
    NoNet {
        /// The second word.
        got: String,
    },
    /// The network has more bits than its addresses.
    #[error("invalid prefix length in {got:?}, the limit of this kind of address is {most} bits")]
    Prefix {
        /// The network.
        got: String,
        /// 32 for IPv4, 128 for IPv6.
        most: u8,
    },
    /// `all` before the end.
    #[error("the rules after `all` are never used: `all` must be in the last rule")]
    Early,
    /// A last rule without `all`.
    #[error("the last rule must be `allow all` or `deny all`")]
    Open,
}

#[cfg(test)]
mod tests;
