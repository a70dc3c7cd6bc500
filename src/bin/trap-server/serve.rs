//! The server from its start to its exit code.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use log::{Level, error, info, log_enabled, warn};
use tokio::sync::oneshot;
use trap_server::config::Config;
use trap_server::logging;
use trap_server::server::{OpenError, Running, Server};

use crate::reload::reload;
use crate::signals::{Request, Signals};
use crate::{CONFIG, IO, SOFTWARE, UNAVAILABLE, USAGE, complain, defaults, load, lower};

/// How long pending log lines may delay the exit.
const FLUSH: Duration = Duration::from_millis(500);

/// Runs the server with the config that was `named`, and exits.
pub fn serve(named: Option<&Path>) -> ExitCode {
    let system = actix_rt::System::new();
    // First: an earlier signal ends the process, or is lost if the process is the first of a container.
    let signals = system.block_on(async { Signals::handle() });
    let (config, from) = match load(named) {
        Ok((config, from)) => (config, from.unwrap_or_else(defaults)),
        Err(message) => return complain(USAGE, &message),
    };
    let logging = match logging::start(config.log.level) {
        Ok(logging) => logging,
        Err(err) => return complain(SOFTWARE, &format!("trap-server: {err}")),
    };
    let code = system.block_on(start(config, &from, file(named), signals));
    logging.flush(FLUSH);
    // Not a return: a thread that a session blocks, or that still waits for a file, must not keep the process.
    std::process::exit(code.into())
}

/// The file that a reload reads: the one that was read at the start, or the usual one if there was none yet.
fn file(named: Option<&Path>) -> Option<PathBuf> {
    let file = named.or_else(|| Some(Path::new(CONFIG)).filter(|file| file.exists()))?;
    // The working directory may change.
    Some(std::path::absolute(file).unwrap_or_else(|_| file.into()))
}

/// Opens the server and runs it, unless a signal comes first.
async fn start(mut config: Config, from: &str, named: Option<PathBuf>, signals: io::Result<Signals>) -> u8 {
    info!("trap-server {} starts with {from}, workers={}", env!("CARGO_PKG_VERSION"), config.server.workers);
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(err) => return cannot_start(&err),
    };
    lower(&mut config).iter().for_each(|warning| warn!("{warning}"));
    let names: Vec<_> = config.listeners.iter().map(|listener| listener.name.clone()).collect();
    let opened = match open(config) {
        Ok(opened) => opened,
        Err(err) => return cannot_start(&err),
    };
    tokio::select! {
        opened = opened => match opened {
            Ok(Ok(server)) => begin(server, &names, named, signals).await,
            Ok(Err(err)) => cannot_open(&err),
            Err(_) => cannot_start(&"opening the server panicked"),
        },
        name = signals.stop() => {
            info!("{name} received during the start: stopped");
            0
        }
    }
}

/// Opens the server on a thread of its own: a file that another program has locked must not keep a signal waiting.
fn open(config: Config) -> io::Result<oneshot::Receiver<Result<Server, OpenError>>> {
    let (tell, told) = oneshot::channel();
    let open = move || drop(tell.send(Server::bind(config)));
    thread::Builder::new().name("start".into()).spawn(open)?;
    Ok(told)
}

async fn begin(server: Server, names: &[String], named: Option<PathBuf>, signals: Signals) -> u8 {
    let running = match server.start() {
        Ok(running) => running,
        Err(err) => return cannot_start(&err),
    };
    for (name, address) in names.iter().zip(running.addresses()) {
        info!("listening listener={name} address={address}");
    }
    run(running, named, signals).await
}

fn cannot_open(err: &OpenError) -> u8 {
    fatal(&err.to_string());
    match err {
        OpenError::Bind(_) => UNAVAILABLE,
        OpenError::Socket(_) | OpenError::Tls(_) => USAGE,
        OpenError::Credentials(err) if err.is_mistake() => USAGE,
        OpenError::Credentials(_) | OpenError::Database(_) => IO,
    }
}

fn cannot_start(why: &dyn std::fmt::Display) -> u8 {
    fatal(&format!("the server cannot start: {why}; see `ulimit -n` and `ulimit -u`"));
    SOFTWARE
}

/// Reports why the server ends, even if the log is off.
fn fatal(why: &str) {
    if log_enabled!(Level::Error) {
        error!("{why}");
    } else {
        let _ = writeln!(io::stderr(), "trap-server: {why}");
    }
}

/// Waits for a signal or a failure, and shuts down.
async fn run(mut running: Running, named: Option<PathBuf>, mut signals: Signals) -> u8 {
    let code = loop {
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop(name) => {
                    info!("{name} received: shutting down (send again to force)");
                    break 0;
                }
                _ => reload(&mut running, named.clone()).await,
            },
            reason = running.gave_up() => {
                error!("shutting down: the supervisor gave up: {reason}");
                break SOFTWARE;
            }
        }
    };
    let open = Arc::clone(running.open());
    tokio::select! {
        stopped = running.stop() => {
            info!("stopped cut_off={} killed={}", stopped.cut_off, stopped.killed.len());
        }
        name = signals.stop() => warn!("{name} received: forced shutdown cut_off={}", open.count()),
    }
    code
}
