//! Listening addresses, from TOML. An error is the text that follows "must be".

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixDatagram;

use rustix::net::netdevice::name_to_index;
use toml::de::DeValue;

use super::Listener;
use crate::address::Address;

const ADDRESS: &str = "a port or an IP address with a port, in quotes, such as \"5000\", \"192.168.0.7:5000\" or \"[::1]:5000\" \
     (host names are not looked up), or a path behind \"unix:\"";
const PATH: &str = "a path behind \"unix:\", such as \"unix:run/trap.sock\"";
const ZONE: &str = "a link-local address with its interface, such as \"[fe80::1%eth0]:5000\"";
const INTERFACE: &str = "an address whose zone is an interface of this machine (`ip link` lists them)";
const ONE_MACHINE: &str = "an address of this machine, not a multicast or broadcast address";

/// An address to listen on.
pub(super) fn bind(value: &DeValue<'_>) -> Result<Address, String> {
    let text = value.as_str().ok_or(ADDRESS)?;
    match text.strip_prefix(Address::UNIX) {
        Some(path) if path.is_empty() || path.contains('\0') => Err(PATH.into()),
        Some(path) => Ok(Address::Unix(path.into())),
        None => Ok(Address::Ip(address(text)?)),
    }
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let address = parse(text)?;
    match (address, address.ip().to_canonical()) {
        (_, ip) if ip.is_multicast() || ip == Ipv4Addr::BROADCAST => Err(ONE_MACHINE),
        (SocketAddr::V6(v6), _) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => Err(ZONE),
        (address, _) => Ok(address),
    }
}

fn parse(text: &str) -> Result<SocketAddr, &'static str> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let port = text.parse().map_err(|_| ADDRESS)?;
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    }
    text.parse().or_else(|_| with_zone(text))
}

/// An address whose zone is the name of an interface.
fn with_zone(text: &str) -> Result<SocketAddr, &'static str> {
    let (ip, rest) = text.split_once('%').ok_or(ADDRESS)?;
    let (zone, port) = rest.split_once(']').ok_or(ADDRESS)?;
    let numbered = |index: u32| format!("{ip}%{index}]{port}").parse();
    // The rest must be right for any index.
    let _: SocketAddr = numbered(1).map_err(|_| ADDRESS)?;
    let index = interface(zone).ok_or(INTERFACE)?;
    numbered(index).map_err(|_| ADDRESS)
}

/// The number of an interface. Any socket may ask for it.
fn interface(name: &str) -> Option<u32> {
    name_to_index(UnixDatagram::unbound().ok()?, name).ok()
}

impl Listener {
    /// Whether the socket of one listener keeps the other from its address. `[::]` is every IPv6 and IPv4 address, unless it
    /// is only for IPv6; `0.0.0.0` is every IPv4 one.
    pub fn excludes(&self, other: &Self) -> bool {
        let (Some(at), Some(other_at)) = (self.bind.ip(), other.bind.ip()) else {
            return self.bind == other.bind;
        };
        let (ip, other_ip) = (at.ip().to_canonical(), other_at.ip().to_canonical());
        let covered = covers(ip, self.only_v6, other_ip) || covers(other_ip, other.only_v6, ip);
        // Two zones are two addresses.
        let is_same = ip == other_ip && (ip.is_ipv4() || at == other_at);
        at.port() == other_at.port() && at.port() != 0 && (is_same || covered)
    }
}

fn covers(wide: IpAddr, only_v6: bool, narrow: IpAddr) -> bool {
    wide.is_unspecified() && (wide.is_ipv4() == narrow.is_ipv4() || (wide.is_ipv6() && !only_v6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_address_is_written_out() {
        let any = |port| Ok(SocketAddr::from(([0, 0, 0, 0], port)));
        assert_eq!(address("5000"), any(5000));
        assert_eq!(address("0"), any(0));
        assert_eq!(address("127.0.0.1:65535"), Ok(SocketAddr::from(([127, 0, 0, 1], 65535))));
        assert_eq!(address("[::1]:5000"), Ok(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 5000))));
        for text in
            ["", "+5000", "65536", ":5000", "127.0.0.1", "::1:5000", "localhost:5000", "[::1]", "*:5000"]
        {
            assert_eq!(address(text), Err(ADDRESS), "{text:?}");
        }
    }

    #[test]
    fn a_zone_is_a_number_or_an_interface() {
        let loopback = interface("lo").unwrap();
        assert_eq!(address("[fe80::1%lo]:5000"), address(&format!("[fe80::1%{loopback}]:5000")));
        assert_eq!(address("[fe80::1%7]:5000").unwrap().to_string(), "[fe80::1%7]:5000");
        assert_eq!(address("[fe80::1]:5000"), Err(ZONE));
        for zone in ["", "no such", "../lo", "longer than any interface"] {
            assert_eq!(address(&format!("[fe80::1%{zone}]:5000")), Err(INTERFACE), "{zone:?}");
        }
        for text in ["[fe80::1%lo]", "[fe80::1%lo:5000", "[10.0.0.1%lo]:5000", "10.0.0.1%lo:5000"] {
            assert_eq!(address(text), Err(ADDRESS), "{text:?}");
        }
    }

    #[test]
    fn a_multicast_or_broadcast_address_is_rejected() {
        for text in ["224.0.0.1:1", "239.1.2.3:1", "255.255.255.255:1", "[ff02::1]:1", "[::ffff:224.0.0.1]:1"]
        {
            assert_eq!(address(text), Err(ONE_MACHINE), "{text:?}");
        }
    }
}
