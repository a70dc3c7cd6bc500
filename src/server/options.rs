//! What a listener of the config is to be.

use std::time::Duration;

use super::tls::{self, TlsError};
use crate::config;
use crate::listener::{Keepalive, Options, SocketOptions};

/// The options of a listener that the config describes, without TLS.
pub(super) fn options(config: &config::Listener) -> Options {
    Options {
        mode: config.mode,
        only_v6: config.only_v6,
        reuse_port: config.reuse_port,
        acceptors: config.acceptors,
        max_connections: config.max_connections,
        max_unauthenticated: config.max_unauthenticated,
        access: config.access.clone(),
        socket: SocketOptions {
            backlog: config.backlog,
            nodelay: config.nodelay,
            keepalive: config.keepalive.map(|idle| Keepalive {
                idle,
                interval: config.keepalive_interval.unwrap_or_else(|| a_quarter(idle)),
                count: config.keepalive_count,
            }),
            // Probes alone would not end a connection that has data on its way.
            user_timeout: config.user_timeout.or(config.keepalive.map(|idle| idle * 2)),
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

/// The kernel counts whole seconds.
fn a_quarter(idle: Duration) -> Duration {
    (idle / 4).max(Duration::from_secs(1))
}
