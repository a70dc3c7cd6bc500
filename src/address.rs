//! Where a listener listens, and where a peer comes from. Plain values: nothing here opens a socket.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Ip(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// What stands before the path of a Unix socket.
    pub const UNIX: &'static str = "unix:";

    /// The IP address and the port, if it has them.
    pub const fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// What [`Display`](fmt::Display) writes.
impl FromStr for Address {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        match text.strip_prefix(Self::UNIX) {
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Ip),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}{}", Self::UNIX, path.display()),
        }
    }
}

/// The peer of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Its address; an IPv4-mapped IPv6 address as the IPv4 address that it is, a link-local one with its zone.
    Ip(SocketAddr),
    /// A process of this machine, on a Unix socket.
    Unix {
        /// The process that connected; 0 if the kernel does not say.
        pid: u32,
        /// Its effective user.
        uid: u32,
    },
}

impl Peer {
    /// Its IP address. A process of this machine counts as 127.0.0.1.
    pub const fn ip(&self) -> IpAddr {
        match self {
            Self::Ip(address) => address.ip(),
            Self::Unix { .. } => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// Whether both are the same peer. The zone of an address does not count.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ip(one), Self::Ip(other)) => (one.ip(), one.port()) == (other.ip(), other.port()),
            _ => self == other,
        }
    }
}

/// The peer with this address, in its canonical form.
impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(match address.ip().to_canonical() {
            ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
            IpAddr::V6(_) => address,
        })
    }
}

/// One word, without spaces.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix { pid, uid } => write!(f, "unix:uid={uid},pid={pid}"),
        }
    }
}

// It is a part of each session and of each row of the registry.
const _: () = assert!(size_of::<Peer>() == size_of::<SocketAddr>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_written_as_ipv4_and_a_link_local_one_with_its_zone() {
        for (address, expected) in [
            ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"),
            ("192.0.2.1:7", "192.0.2.1:7"),
            ("[fe80::1%3]:7", "[fe80::1%3]:7"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(Peer::from(address).to_string(), expected);
        }
        assert_eq!(Peer::Unix { pid: 4711, uid: 1000 }.to_string(), "unix:uid=1000,pid=4711");
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in ["192.0.2.1:7", "[::1]:7", "unix:/run/trap.sock", "unix:run/trap.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert!("trap.sock".parse::<Address>().is_err());
    }

    #[test]
    fn a_zone_does_not_make_another_peer_and_a_process_does() {
        let ip = |text: &str| Peer::from(text.parse::<SocketAddr>().unwrap());
        assert!(ip("[fe80::1%3]:7").is(&ip("[fe80::1]:7")) && !ip("[fe80::1]:7").is(&ip("[fe80::1]:8")));
        let process = |pid| Peer::Unix { pid, uid: 0 };
        assert!(
            process(1).is(&process(1)) && !process(1).is(&process(2)) && !process(1).is(&ip("0.0.0.0:1"))
        );
    }
}
