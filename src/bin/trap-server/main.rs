//! The trap server's binary: arguments, config, logs, run, exit code.

#![forbid(unsafe_code)]

mod backup;
mod check;
mod clients;
mod command;
mod messages;
mod output;
mod progress;
mod reload;
mod serve;
mod signals;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use command::{Command, Failure};
use trap_server::config::{Config, limits};

/// The default config file.
const CONFIG: &str = "config.toml";

/// Exit codes, as in sysexits.h; 1 as in grep, if nothing was found.
const NO: u8 = 1;
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const SOFTWARE: u8 = 70;
const IO: u8 = 74;

/// An OTP-style TCP device server.
///
/// RUST_LOG overrides the level of the log. Exit codes: 0 stopped on request, 1 the id does not exist, or exists already,
/// 64 bad usage or bad config, 69 could not bind, 70 the supervisor gave up, or the system refused a resource at the start,
/// 74 a database cannot be used, or the output cannot be written.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The config file; the default is ./config.toml. Without it, a server starts with the built-in settings; a command fails
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// Check the config, print the effective settings, and exit
    #[arg(long)]
    check: bool,

    /// With --check: print what a reload would change in a server that runs with this config
    #[arg(long, value_name = "FILE", requires = "check")]
    against: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

impl Args {
    fn parse_all() -> Result<Self, clap::Error> {
        let args = Self::try_parse()?;
        if args.check && args.command.is_some() {
            let message = "`--check` cannot be used with a command";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        Ok(args)
    }
}

fn main() -> ExitCode {
    let args = match Args::parse_all() {
        Ok(args) => args,
        Err(err) => {
            // Help and version are not errors.
            if !err.use_stderr() {
                return finish(output::text(err.render()));
            }
            let _ = err.print();
            return ExitCode::from(USAGE);
        }
    };
    let named = args.config.as_deref();
    if args.command.is_none() && !args.check {
        return serve::serve(named);
    }
    let needs_config = args.command.as_ref().is_some_and(Command::needs_config);
    let (config, from) = match load(named) {
        Ok((config, None)) if needs_config => return complain(USAGE, &no_config(&config)),
        Ok((config, from)) => (config, from.unwrap_or_else(defaults)),
        Err(message) => return complain(USAGE, &message),
    };
    match args.command {
        Some(command) => finish(command::run(command, &config, &from)),
        None => finish(check(config, &from, args.against.as_deref())),
    }
}

/// Prints why the program ends, and returns the exit code.
fn complain(code: u8, why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{why}");
    ExitCode::from(code)
}

/// The config, and its origin; none for the default config.
fn load(named: Option<&Path>) -> Result<(Config, Option<String>), String> {
    let path = named.unwrap_or(Path::new(CONFIG));
    if named.is_none() && path.symlink_metadata().is_err_and(|err| err.kind() == io::ErrorKind::NotFound) {
        return Ok((Config::default(), None));
    }
    let config = Config::load(path).map_err(|err| err.to_string())?;
    Ok((config, Some(path.display().to_string())))
}

fn defaults() -> String {
    format!("the default config (./{CONFIG} does not exist)")
}

/// Why a command does nothing with the default config: in another working directory, its folder is another one.
fn no_config(config: &Config) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.into());
    format!(
        "trap-server: there is no config: `--config` is not given, and there is no {}; the default folder of the data \
         would be {}; name the server's config with `--config FILE`",
        absolute(Path::new(CONFIG)).display(),
        absolute(&config.store.path).display()
    )
}

/// Prints the effective settings of a config and a summary of its stores and certificates, or the changes that a reload would make.
fn check(mut config: Config, from: &str, against: Option<&Path>) -> Result<(), Failure> {
    if let Some(running) = against {
        return check::against(running, config, from);
    }
    let text = config.to_string();
    let warnings = lower(&mut config).join("\n");
    let (stores, certificates) = (check::stores(&config), check::certificates(&config));
    let is_valid = stores.is_ok() && certificates.is_ok();
    let [stored, certified] = [&stores, &certificates].map(|shown| shown.as_deref().unwrap_or_default());
    let parts = [&text, stored, certified, &warnings].map(str::trim_end);
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let verdict = if is_valid { "is valid. Effective settings:" } else { "has these effective settings:" };
    let printed = output::line(format_args!("{from} {verdict}\n\n{}", parts.join("\n\n")));
    stores.and(certificates).and(printed)
}

/// Prints the error of a command, and returns its exit code.
fn finish(ended: Result<(), Failure>) -> ExitCode {
    let Err(Failure::Told { code, message }) = ended else { return ExitCode::SUCCESS };
    complain(code, &format!("trap-server: {message}"))
}

/// Raises the limit of open files to its hard limit, and lowers the config to the limits of this machine.
fn lower(config: &mut Config) -> Vec<String> {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(open_files) => limits::lower(config, open_files).iter().map(ToString::to_string).collect(),
        Err(err) => vec![format!("the limit of open files cannot be raised: {err}")],
    }
}
