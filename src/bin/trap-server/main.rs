//! The trap server's binary: arguments, config, logs, run, exit code.

#![forbid(unsafe_code)]

mod check;
mod clients;
mod command;
mod messages;
mod output;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use command::{Command, Failure};
use log::{Level, error, info, log_enabled, warn};
use tokio::signal::unix::{Signal, SignalKind, signal};
use trap_server::config::{Config, limits};
use trap_server::logging;
use trap_server::server::{OpenError, Running, Server};

/// The config that is read when none is named.
const CONFIG: &str = "config.toml";

/// How long what is still to be logged may delay the exit.
const FLUSH: Duration = Duration::from_millis(500);

/// Exit codes, after sysexits.h, and grep's for what is not there.
const NO: u8 = 1;
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const SOFTWARE: u8 = 70;
const IO: u8 = 74;

/// An OTP-style TCP device server.
///
/// RUST_LOG overrides the level of the log. Exit codes: 0 stopped on request, 1 there is no such id, or there is already,
/// 64 bad usage or bad config, 69 could not bind, 70 the supervisor gave up, or the system refused what a start needs,
/// 74 a database cannot be used, or the output cannot be written.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The config; without this ./config.toml, or the defaults if there is none
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// Read and check the config, print what it means, and exit
    #[arg(long)]
    check: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

impl Args {
    fn parse_all() -> Result<Self, clap::Error> {
        let args = Self::try_parse()?;
        if args.check && args.command.is_some() {
            let message = "`--check` stands without a command";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        Ok(args)
    }
}

fn main() -> ExitCode {
    let args = match Args::parse_all() {
        Ok(args) => args,
        Err(err) => {
            // Help and version are no errors.
            if !err.use_stderr() {
                return finish(output::text(err.render()));
            }
            let _ = err.print();
            return ExitCode::from(USAGE);
        }
    };
    let (config, from) = match load(args.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(message) => {
            let _ = writeln!(io::stderr(), "{message}");
            return ExitCode::from(USAGE);
        }
    };
    if let Some(command) = args.command {
        return finish(command::run(command, &config, &from));
    }
    if args.check {
        return finish(check(config, &from));
    }
    let logging = match logging::start(config.log.level) {
        Ok(logging) => logging,
        Err(err) => {
            let _ = writeln!(io::stderr(), "trap-server: {err}");
            return ExitCode::from(SOFTWARE);
        }
    };
    let code = serve(config, &from);
    logging.flush(FLUSH);
    // Not a return: a thread that a session blocks must not keep the process.
    std::process::exit(code.into())
}

/// The config, and where it comes from.
fn load(named: Option<&Path>) -> Result<(Config, String), String> {
    let path = named.unwrap_or(Path::new(CONFIG));
    if named.is_none() && path.symlink_metadata().is_err_and(|err| err.kind() == io::ErrorKind::NotFound) {
        return Ok((Config::default(), format!("the default config (there is no ./{CONFIG})")));
    }
    let config = Config::load(path).map_err(|err| err.to_string())?;
    Ok((config, path.display().to_string()))
}

/// Prints what a config means and what its stores are like.
fn check(mut config: Config, from: &str) -> Result<(), Failure> {
    let text = config.to_string();
    let warnings = lower(&mut config).join("\n");
    let stores = check::stores(&config);
    let shown = stores.as_deref().unwrap_or_default();
    let parts = [&text, shown, &warnings].map(str::trim_end);
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let verdict = if stores.is_ok() { "is right. It means:" } else { "means:" };
    let printed = output::line(format_args!("{from} {verdict}\n\n{}", parts.join("\n\n")));
    stores.and(printed)
}

/// How a command ended, for the operator and as the exit code.
fn finish(ended: Result<(), Failure>) -> ExitCode {
    let Err(Failure::Told { code, message }) = ended else { return ExitCode::SUCCESS };
    let _ = writeln!(io::stderr(), "trap-server: {message}");
    ExitCode::from(code)
}

fn serve(mut config: Config, from: &str) -> u8 {
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

/// Raises the limit of open files as far as it goes, and lowers the config to what this machine can do.
fn lower(config: &mut Config) -> Vec<String> {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(open_files) => limits::lower(config, open_files).iter().map(ToString::to_string).collect(),
        Err(err) => vec![format!("the limit of open files cannot be raised: {err}")],
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

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
