//! What the binary does beside serving: each command is a file here, and works beside a server that runs.

use std::fmt::Display;
use std::io::{self, ErrorKind};

use clap::Subcommand;
use trap_server::config::Config;

use crate::{backup, clients, messages};

/// A command.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print what devices sent
    Messages(messages::Args),
    /// Show and change who may authenticate
    Clients(clients::Args),
    /// Copy all data to a new folder, while a server may run
    Backup(backup::Args),
    /// Make a backup the data of the next server
    Restore(backup::Args),
}

impl Command {
    /// Whether it works on the data that a config names.
    pub(crate) const fn needs_config(&self) -> bool {
        !matches!(self, Self::Messages(messages) if messages.reads_elsewhere())
    }
}

/// Why a command did not do what it was to do.
pub(crate) enum Failure {
    /// Nobody reads what it prints any more, as with `| head`. That is no failure.
    Unread,
    /// Anything else.
    Told {
        /// The exit code.
        code: u8,
        /// For the operator.
        message: String,
    },
}

impl Failure {
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Told { code: crate::USAGE, message: message.to_string() }
    }

    /// What was asked for cannot be done, and there is nothing wrong but that.
    pub(crate) fn no(message: impl Display) -> Self {
        Self::Told { code: crate::NO, message: message.to_string() }
    }

    pub(crate) fn io(message: impl Display) -> Self {
        Self::Told { code: crate::IO, message: message.to_string() }
    }

    /// Standard output failed.
    pub(crate) fn output(err: io::Error) -> Self {
        match err.kind() {
            ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::io(format_args!("cannot write to standard output: {err}")),
        }
    }
}

/// Runs a command to its end, with a config that comes `from` there.
pub(crate) fn run(command: Command, config: &Config, from: &str) -> Result<(), Failure> {
    match command {
        Command::Messages(args) => messages::run(&args, config, from),
        Command::Clients(args) => clients::run(&args, config),
        Command::Backup(args) => backup::save(&args, config, from),
        Command::Restore(args) => backup::restore(&args, config),
    }
}
