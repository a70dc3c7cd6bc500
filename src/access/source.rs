//! The source of a connection, as limits and sums use it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The prefix length of an IPv6 network: one party usually controls all addresses in it.
const NETWORK: u32 = 64;

/// The source of a peer: an IPv4 address, the /64 of an IPv6 address, or a user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An IPv4 address, or the first one of a network.
    Ip(IpAddr),
    /// The user of a process, by its number.
    User(u32),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                Self::Ip(Ipv6Addr::from_bits(address.to_bits() >> NETWORK << NETWORK).into())
            }
            address => Self::Ip(address),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Ip(IpAddr::V6(address)) => write!(f, "{address}/{NETWORK}"),
            Self::User(uid) => write!(f, "unix:uid={uid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_a_source_and_so_is_a_network_of_ipv6() {
        let shown = |address: &str| Source::from(address.parse::<IpAddr>().unwrap()).to_string();
        assert_eq!(shown("192.0.2.7"), "192.0.2.7");
        assert_eq!(shown("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(Source::User(1000).to_string(), "unix:uid=1000");
    }
}
