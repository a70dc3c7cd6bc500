//! Keepalive out of step. Devices that connect at the same time, as after an outage, would be probed at the same time too,
//! for as long as they are connected; and of thousands of probes in one moment the kernel drops most, so that healthy
//! connections are dropped.
//!
//! An accepted socket has the time of its first probe from the listening one, whose time changes with every few clients: a
//! system call per client would cost more than accepting needs otherwise. Clients that have piled up in the backlog have
//! all got the same time, so those beyond the first get a time of their own.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_keepidle;

use crate::access::Even;

/// Seconds; the most that Linux takes for `TCP_KEEPIDLE`.
const MOST: u64 = 32_767;

/// The listening socket gets another time after so many clients.
const SHARE: u32 = 8;

/// So many clients without a rest are no pile yet.
const PILE: u32 = 64;

/// The spread of one accept loop: a quarter less to a quarter more than the time of the listener. When a peer is given up
/// stays the same: `TCP_USER_TIMEOUT` sets that.
pub(super) struct Spread {
    even: Even,
    accepted: u32,
    since_rest: u32,
}

impl Spread {
    pub(super) fn new() -> Self {
        Self { even: Even::new(), accepted: 0, since_rest: 0 }
    }

    /// No client was waiting.
    pub(super) const fn rest(&mut self) {
        self.since_rest = 0;
    }

    /// A client was accepted from `listening`, which has this keepalive time in seconds, or none.
    pub(super) fn accepted(&mut self, idle: u32, listening: impl AsFd, accepted: impl AsFd) {
        self.accepted = self.accepted.wrapping_add(1);
        self.since_rest = self.since_rest.saturating_add(1);
        if self.accepted.is_multiple_of(SHARE) {
            self.set(idle, listening);
        }
        if self.since_rest > PILE {
            self.set(idle, accepted);
        }
    }

    fn set(&mut self, idle: u32, socket: impl AsFd) {
        let Some(seconds) = self.next(idle.into()) else { return };
        // It fails on a socket that is broken already.
        let _ = set_tcp_keepidle(socket, Duration::from_secs(seconds));
    }

    /// Where there is no second to be shifted, nothing.
    fn next(&mut self, idle: u64) -> Option<u64> {
        let quarter = idle / 4;
        if quarter == 0 {
            return None;
        }
        let (first, last) = (idle - quarter, (idle + quarter).min(MOST));
        Some(first + self.even.below(last - first + 1))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use socket2::SockRef;

    use super::*;

    #[test]
    fn all_times_are_used_equally_often_and_the_kernel_takes_them() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        for (keepalive, expected) in [(60, 45..=75), (4, 3..=5), (32_767, 24_576..=32_767)] {
            let mut spread = Spread::new();
            let times: Vec<_> = (0..310).filter_map(|_| spread.next(keepalive)).collect();
            assert!(times.iter().all(|time| expected.contains(time)), "{times:?}");
            let of_the_first = times.iter().filter(|time| **time == times[0]).count();
            assert!(keepalive != 60 || (8..=12).contains(&of_the_first), "{of_the_first}");
            set_tcp_keepidle(&socket, Duration::from_secs(*times.iter().max().unwrap())).unwrap();
        }
    }

    #[test]
    fn what_is_off_or_cannot_be_shifted_costs_nothing() {
        for keepalive in [0, 1, 3] {
            assert_eq!(Spread::new().next(keepalive), None);
        }
    }

    /// How many of 300 clients share the most frequent time.
    fn most_alike(piled_up: bool) -> usize {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listening).set_keepalive(true).unwrap();
        let address = listening.local_addr().unwrap();
        let (mut spread, mut times) = (Spread::new(), [0; 100]);
        let (mut clients, mut kept) = (Vec::new(), Vec::new());
        for _ in 0..300 / 100 {
            clients.extend((0..100).map(|_| TcpStream::connect(address).unwrap()));
            for _ in 0..100 {
                if !piled_up {
                    spread.rest();
                }
                let (accepted, _) = listening.accept().unwrap();
                spread.accepted(60, &listening, &accepted);
                kept.push(accepted);
            }
        }
        for accepted in &kept {
            times[SockRef::from(accepted).tcp_keepalive_time().unwrap().as_secs() as usize % 100] += 1;
        }
        times.into_iter().max().unwrap()
    }

    #[test]
    fn clients_that_have_piled_up_are_probed_out_of_step() {
        let alike = most_alike(true);
        assert!(alike <= PILE as usize + 100 / 4, "{alike}");
    }
}
