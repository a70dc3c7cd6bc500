//! The server from its start to its exit code.

use std::io::{self, Write};
use std::sync::Arc;

use log::{Level, error, info, log_enabled, warn};
use trap_server::config::Config;
use trap_server::server::{OpenError, Running, Server};

use crate::signals::Signals;
use crate::{IO, SOFTWARE, UNAVAILABLE, USAGE, lower};

/// Runs the server, and says how it ended.
pub fn serve(mut config: Config, from: &str) -> u8 {
    info!("trap-server {} starts with {from}, workers={}", env!("CARGO_PKG_VERSION"), config.server.workers);
    lower(&mut config).iter().for_each(|warning| warn!("{warning}"));
    let names: Vec<_> = config.listeners.iter().map(|listener| listener.name.clone()).collect();
    let server = match Server::bind(config) {
        Ok(server) => server,
        Err(err) => {
            fatal(&err.to_string());
            return match err {
                OpenError::Bind(_) => UNAVAILABLE,
                OpenError::Credentials(err) if err.is_mistake() => USAGE,
                OpenError::Credentials(_) | OpenError::Database(_) => IO,
            };
        }
    };
    actix_rt::System::new().block_on(async {
        let (running, signals) = match server.start().and_then(|running| Ok((running, Signals::new()?))) {
            Ok(started) => started,
            Err(err) => {
                fatal(&format!("the server cannot start: {err}; see `ulimit -n` and `ulimit -u`"));
                return SOFTWARE;
            }
        };
        for (name, address) in names.iter().zip(running.addresses()) {
            info!("listening listener={name} address={address}");
        }
        run(running, signals).await
    })
}

/// Why there is no server, said even where the log is silent.
fn fatal(why: &str) {
    if log_enabled!(Level::Error) {
        error!("{why}");
    } else {
        let _ = writeln!(io::stderr(), "trap-server: {why}");
    }
}

/// Waits for the end, and brings it about.
async fn run(mut running: Running, mut signals: Signals) -> u8 {
    let code = tokio::select! {
        name = signals.next() => {
            info!("{name}: stopping; once more stops at once");
            0
        }
        reason = running.gave_up() => {
            error!("stopping, for the supervisor gave up: {reason}");
            SOFTWARE
        }
    };
    let open = Arc::clone(running.open());
    tokio::select! {
        stopped = running.stop() => {
            info!("stopped cut_off={} killed={}", stopped.cut_off, stopped.killed.len());
        }
        name = signals.next() => warn!("{name}: stopped at once cut_off={}", open.count()),
    }
    code
}
