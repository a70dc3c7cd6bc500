//! The session that has its turn on a worker, for the report of a stalled worker.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::address::Peer;

/// Tags of a peer in [`Holder::head`]; 0 is no session.
const V4: u64 = 1;
const V6: u64 = 2;
const UNIX: u64 = 3;

/// The peer of the session that has its turn. The worker writes it in each turn, so it is only two stores (up to four for
/// another peer than one on IPv4), and no lock.
#[derive(Debug, Default)]
pub struct Holder {
    /// An IPv4 address or a process in the upper half, then a tag and the port.
    head: AtomicU64,
    upper: AtomicU64,
    lower: AtomicU64,
}

impl Holder {
    /// The turn of the session of this peer begins.
    pub(super) fn begins(&self, peer: Peer) {
        match peer {
            Peer::Ip(address) => self.begins_at(address),
            Peer::Unix { pid, uid } => {
                self.lower.store(uid.into(), Relaxed);
                self.head.store(u64::from(pid) << 32 | UNIX << 16, Relaxed);
            }
        }
    }

    fn begins_at(&self, peer: SocketAddr) {
        let port = u64::from(peer.port());
        match peer.ip() {
            IpAddr::V4(ip) => self.head.store(u64::from(ip.to_bits()) << 32 | V4 << 16 | port, Relaxed),
            IpAddr::V6(ip) => {
                let ip = ip.to_bits();
                self.upper.store((ip >> 64) as u64, Relaxed);
                self.lower.store(ip as u64, Relaxed);
                self.head.store(V6 << 16 | port, Relaxed);
            }
        }
    }

    /// The turn is over.
    pub(super) fn ends(&self) {
        self.head.store(0, Relaxed);
    }

    /// The peer of the session that has its turn. It is exact for a worker that stands still; otherwise it may be any.
    pub fn peer(&self) -> Option<Peer> {
        let head = self.head.load(Relaxed);
        let ip = match head >> 16 & 0xffff {
            V4 => IpAddr::V4(Ipv4Addr::from_bits((head >> 32) as u32)),
            V6 => {
                let ip = u128::from(self.upper.load(Relaxed)) << 64 | u128::from(self.lower.load(Relaxed));
                IpAddr::V6(Ipv6Addr::from_bits(ip))
            }
            UNIX => {
                let uid = self.lower.load(Relaxed) as u32;
                return Some(Peer::Unix { pid: (head >> 32) as u32, uid });
            }
            _ => return None,
        };
        Some(Peer::Ip(SocketAddr::new(ip, (head & 0xffff) as u16)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_there_for_the_time_of_the_turn() {
        let holder = Holder::default();
        assert_eq!(holder.peer(), None);
        let addresses = ["192.0.2.7:65535", "[2001:db8::ffff:1]:1", "0.0.0.0:0", "255.255.255.255:80"];
        let peers = addresses.map(|address| Peer::Ip(address.parse().unwrap())).into_iter();
        for peer in
            peers.chain([(0, 0), (1, u32::MAX), (u32::MAX, 0)].map(|(pid, uid)| Peer::Unix { pid, uid }))
        {
            holder.begins(peer);
            assert_eq!(holder.peer(), Some(peer));
            holder.ends();
            assert_eq!(holder.peer(), None);
        }
    }
}
