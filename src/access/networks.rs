//! Networks that a peer must be in, such as those from which an id may come.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

/// The bits of a mapped IPv6 address in front of its IPv4 address.
const MAPPED: u8 = 96;

/// Parses an address, or a network such as `192.168.0.0/24`, whose host bits are ignored. A network of IPv4 addresses in
/// IPv6 form becomes the IPv4 network, because peers are compared as IPv4.
pub fn parse_network(text: &str) -> Result<IpNet, BadNetwork> {
    let no_network = || BadNetwork::NoNetwork { got: text.into() };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| no_network())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let too_long = || BadNetwork::Prefix { got: text.into(), most };
    let prefix = match prefix {
        None => most,
        Some(digits) if digits.is_empty() || digits.contains(|c: char| !c.is_ascii_digit()) => {
            return Err(no_network());
        }
        Some(digits) => digits.parse().map_err(|_| too_long())?,
    };
    let net = IpNet::new(address, prefix).map_err(|_| too_long())?;
    Ok(canonical(net).trunc())
}

fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(mapped) = net else {
        return net;
    };
    let (Some(address), Some(prefix)) =
        (mapped.addr().to_ipv4_mapped(), mapped.prefix_len().checked_sub(MAPPED))
    else {
        return net;
    };
    IpNet::new(address.into(), prefix).unwrap_or(net)
}

/// A network in normal form: a single address has no prefix length.
pub(super) struct Shown<'a>(pub(super) &'a IpNet);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            net if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            net => net.fmt(f),
        }
    }
}

/// Not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// Neither an address nor a network.
    #[error(
        "{got:?} is neither an address such as 192.168.0.7 or fe80::1 nor a network such as 192.168.0.0/24 or fe80::/10"
    )]
    NoNetwork {
        /// The text.
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
}

/// The networks that a peer must be in. The text has a space between two of them; without any, there is no restriction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Networks {
    /// Every address.
    #[default]
    Any,
    /// The addresses of these networks, at least one.
    Of(Arc<[IpNet]>),
    /// No address: the text of a database cannot be read, and may have been meant as a restriction.
    Unreadable(Arc<str>),
}

impl Networks {
    /// The networks of a list; without any, every address.
    pub fn of(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let networks: Arc<[IpNet]> = networks.into_iter().collect();
        if networks.is_empty() { Self::Any } else { Self::Of(networks) }
    }

    /// The networks of a database, which may have been changed by hand.
    pub fn stored(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| Self::Unreadable(text.into()))
    }

    /// Whether a peer may have this address. An IPv4 address in IPv6 form (`::ffff:1.2.3.4`) counts as IPv4.
    pub fn admit(&self, peer: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Of(networks) => networks.iter().any(|net| net.contains(&peer.to_canonical())),
            Self::Unreadable(_) => false,
        }
    }
}

impl FromStr for Networks {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let networks = text.split(' ').filter(|word| !word.is_empty()).map(parse_network);
        networks.collect::<Result<Vec<_>, _>>().map(Self::of)
    }
}

/// In normal form.
impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Of(networks) => networks.iter().enumerate().try_for_each(|(index, net)| {
                let space = if index > 0 { " " } else { "" };
                write!(f, "{space}{}", Shown(net))
            }),
            Self::Unreadable(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn admit(networks: &str, peer: &str) -> bool {
        networks.parse::<Networks>().unwrap().admit(peer.parse().unwrap())
    }

    #[test]
    fn a_peer_is_in_one_of_the_networks() {
        let networks = "10.0.0.0/8 192.0.2.7 2001:db8::/32";
        for (peer, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:11.1.2.3", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(admit(networks, peer), expected, "{peer}");
        }
        assert!(admit("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(admit("", "10.1.2.3") && admit("", "::1"));
    }

    #[test]
    fn networks_are_shown_in_normal_form() {
        for (text, shown) in [
            ("", ""),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("  192.0.2.7/32  FE80::/10 ", "192.0.2.7 fe80::/10"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0"),
        ] {
            assert_eq!(text.parse::<Networks>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_text_that_is_not_a_network_is_an_error_and_admits_nobody() {
        for text in
            ["all", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8,11.0.0.0/8", "10.0.0.0/8 x"]
        {
            assert!(text.parse::<Networks>().is_err(), "{text}");
            let stored = Networks::stored(text);
            assert!(
                !stored.admit(Ipv4Addr::new(10, 0, 0, 1).into()) && !stored.admit(Ipv6Addr::LOCALHOST.into())
            );
            assert_eq!(stored.to_string(), text);
        }
        assert_eq!(Networks::stored(""), Networks::Any);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(networks in prop::collection::vec((any::<IpAddr>(), 0..=128u8), 0..4)) {
            let networks = networks.iter().map(|(address, prefix)| {
                let most = if address.is_ipv4() { 32 } else { 128 };
                parse_network(&format!("{address}/{}", prefix.min(&most))).unwrap()
            });
            let networks = Networks::of(networks);
            prop_assert_eq!(Networks::stored(&networks.to_string()), networks);
        }
    }
}
