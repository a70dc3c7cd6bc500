//! Keepalive out of step. Devices that connect at once, as after an outage, would be probed at once too, and for ever; and
//! of thousands of probes in one moment the kernel drops most, so that healthy connections are given up.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::RangeInclusive;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_keepidle;
use socket2::SockRef;
use tokio::net::TcpStream;

/// Seconds; the most that Linux takes for `TCP_KEEPIDLE`.
const MOST: u64 = 32_767;

/// The times of silence after which accepted sockets are probed: a quarter less to a quarter more than the listening socket
/// has. When a peer is given up stays the same, for that is `TCP_USER_TIMEOUT`.
pub(super) struct Jitter {
    seconds: Option<RangeInclusive<u64>>,
    position: u64,
}

impl Jitter {
    /// For the sockets that are accepted from `listening`.
    pub(super) fn of(listening: &std::net::TcpListener) -> Self {
        let listening = SockRef::from(listening);
        let time = listening.keepalive().is_ok_and(|on| on).then(|| listening.tcp_keepalive_time().ok());
        Self {
            seconds: time.flatten().and_then(around),
            position: RandomState::new().build_hasher().finish(),
        }
    }

    /// Gives `accepted` a time of its own: one system call more.
    pub(super) fn apply(&mut self, accepted: &TcpStream) {
        let Some(seconds) = self.next() else { return };
        // It fails on a socket that is broken already.
        let _ = set_tcp_keepidle(accepted, Duration::from_secs(seconds));
    }

    /// Steps of the golden ratio: each part of the sequence is spread evenly, however short.
    fn next(&mut self) -> Option<u64> {
        let seconds = self.seconds.as_ref()?;
        self.position = self.position.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let count = u128::from(seconds.end() - seconds.start() + 1);
        let offset = u64::try_from((u128::from(self.position) * count) >> u64::BITS);
        Some(seconds.start() + offset.unwrap_or_default())
    }
}

/// Where there is no second to be shifted, nothing.
fn around(time: Duration) -> Option<RangeInclusive<u64>> {
    let (seconds, quarter) = (time.as_secs(), time.as_secs() / 4);
    (quarter > 0).then(|| seconds - quarter..=(seconds + quarter).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::listener::bind;

    fn config(keepalive: Option<u64>) -> config::Listener {
        let keepalive = keepalive.map(Duration::from_secs);
        let bind = "127.0.0.1:0".parse().unwrap();
        config::Listener { bind, keepalive, ..config::Listener::default() }
    }

    #[test]
    fn all_times_are_used_equally_often_and_the_kernel_takes_them() {
        for (keepalive, expected) in [(60, 45..=75), (4, 3..=5), (32_767, 24_576..=32_767)] {
            let mut jitter = Jitter::of(&bind(&config(Some(keepalive))).unwrap());
            assert_eq!(jitter.seconds, Some(expected.clone()));
            let times: Vec<_> = (0..310).filter_map(|_| jitter.next()).collect();
            assert!(times.iter().all(|time| expected.contains(time)), "{times:?}");
            let of_the_first = times.iter().filter(|time| **time == times[0]).count();
            assert!(keepalive != 60 || (8..=12).contains(&of_the_first), "{of_the_first}");
        }
    }

    #[test]
    fn what_is_off_or_cannot_be_shifted_costs_nothing() {
        for keepalive in [None, Some(1), Some(3)] {
            assert_eq!(Jitter::of(&bind(&config(keepalive)).unwrap()).next(), None);
        }
    }
}
