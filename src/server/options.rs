//! What a listener of the config is to be.

use std::num::NonZero;
use std::time::Duration;

use super::tls::{self, TlsError};
use crate::access::{RateLimit, sources};
use crate::config;
use crate::listener::{ConnectionRate, Keepalive, Options, SocketOptions};

/// The options of a listener that the config describes, without TLS.
pub(super) fn options(config: &config::Listener) -> Options {
    let keepalive = config.keepalive.map(|idle| Keepalive {
        idle,
        interval: config.keepalive_interval.unwrap_or_else(|| a_quarter(idle)),
        count: config.keepalive_count,
    });
    Options {
        mode: config.mode,
        only_v6: config.only_v6,
        reuse_port: config.reuse_port,
        acceptors: config.acceptors,
        max_connections: config.max_connections,
        max_unauthenticated: config.max_unauthenticated,
        rate: rate(config),
        sources: sources::Limits {
            max_connections: config.source_connections,
            rate: limit(config.source_rate, config.source_burst),
            ipv6_prefix: config.source_prefix,
        },
        access: config.access.clone(),
        socket: SocketOptions {
            backlog: config.backlog,
            nodelay: config.nodelay,
            keepalive,
            // Probes alone would not end a connection that has data on its way. With a timeout, the kernel does not count
            // them.
            user_timeout: config.user_timeout.or(keepalive.map(|probes| probes.idle + all(probes))),
            receive_buffer: config.receive_buffer,
            send_buffer: config.send_buffer,
        },
        ..Options::new(config.name.clone(), config.bind.clone())
    }
}

/// The same with its TLS, loaded from its files.
pub(super) fn with_tls(config: &config::Listener) -> Result<Options, TlsError> {
    Ok(Options { tls: tls::load(config)?, ..options(config) })
}

fn rate(config: &config::Listener) -> Option<ConnectionRate> {
    Some(ConnectionRate {
        limit: limit(config.connection_rate, config.connection_burst)?,
        shared: config.shared_rate.clone(),
        excess: config.connection_excess,
    })
}

fn limit(per_second: Option<u32>, burst: u32) -> Option<RateLimit> {
    Some(RateLimit::new(NonZero::new(per_second?)?, burst))
}

/// The kernel counts whole seconds.
fn a_quarter(idle: Duration) -> Duration {
    (idle / 4).max(Duration::from_secs(1))
}

fn all(Keepalive { interval, count, .. }: Keepalive) -> Duration {
    interval * count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_given_up_after_all_probes_unless_the_config_says_when() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let mut config = config::Listener::default();
        let timeout = |config: &_| options(config).socket.user_timeout;
        assert_eq!(timeout(&config), seconds(120));
        config.keepalive_interval = seconds(5);
        config.keepalive_count = 2;
        assert_eq!(timeout(&config), seconds(70));
        config.user_timeout = seconds(7);
        assert_eq!(timeout(&config), seconds(7));
        (config.user_timeout, config.keepalive) = (None, None);
        assert_eq!(timeout(&config), None);
    }
}
