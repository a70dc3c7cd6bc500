//! The source of a connection, as limits and sums use it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The usual prefix length of an IPv6 network: one party usually controls all addresses in it.
pub const NETWORK: u8 = 64;

/// The source of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An IPv4 address, or the network of an IPv6 address, by default its /64.
    Net {
        /// The first address of the network.
        address: IpAddr,
        /// Its prefix length; 128 for IPv4, which has no networks here.
        prefix: u8,
    },
    /// A user of this machine, by its number.
    User(u32),
}

impl Source {
    /// The source of `address`, where IPv6 networks have this prefix length, 128 at the most. An IPv4 address in IPv6
    /// form (`::ffff:1.2.3.4`) counts as IPv4.
    pub fn of(address: IpAddr, ipv6_prefix: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let prefix = ipv6_prefix.min(128);
                let hosts = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                Self::Net { address: Ipv6Addr::from_bits(address.to_bits() & !hosts).into(), prefix }
            }
            address => Self::Net { address, prefix: 128 },
        }
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::of(address, NETWORK)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net { address, prefix: 128 } => write!(f, "{address}"),
            Self::Net { address, prefix } => write!(f, "{address}/{prefix}"),
            Self::User(uid) => write!(f, "unix:uid={uid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(address: &str, prefix: u8) -> String {
        Source::of(address.parse().unwrap(), prefix).to_string()
    }

    #[test]
    fn an_ipv4_address_is_a_source_and_so_is_a_network_of_ipv6() {
        let shown = |address: &str| Source::from(address.parse::<IpAddr>().unwrap()).to_string();
        assert_eq!(shown("192.0.2.7"), "192.0.2.7");
        assert_eq!(shown("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }

    #[test]
    fn the_prefix_applies_to_ipv6_alone() {
        assert_eq!(shown("192.0.2.7", 8), "192.0.2.7");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6", 56), "2001:db8:1::/56");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6", 0), "::/0");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6", 128), "2001:db8:1:2:3:4:5:6");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6", 255), "2001:db8:1:2:3:4:5:6");
    }

    proptest! {
        /// Two addresses have the same source if, and only if, they have their first bits in common.
        #[test]
        fn a_network_is_the_first_bits(one: u128, differing in 0..128u32, prefix in 0..=128u8) {
            // Real networks, none of them of mapped addresses.
            let one = one | 1 << 127;
            let other = one ^ (1 << (127 - differing));
            prop_assume!(differing > 0);
            let [one, other] = [one, other].map(|bits| Source::of(Ipv6Addr::from_bits(bits).into(), prefix));
            prop_assert_eq!(one == other, differing >= u32::from(prefix));
        }
    }
}
