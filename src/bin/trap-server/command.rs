//! The commands of the binary. Each is a file here, and works while a server runs.

use std::fmt::Display;
use std::io::{self, ErrorKind};

use clap::Subcommand;
use trap_server::config::Config;

use crate::{backup, clients, messages};

/// A command.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print stored messages
    Messages(messages::Args),
    /// List and change the ids that may authenticate
    Clients(clients::Args),
    /// Copy all data to a new folder, while a server may run
    Backup(backup::Args),
    /// Copy a backup to the data folder
    Restore(backup::Args),
}

impl Command {
    /// Whether it works on the data that a config names.
    pub(crate) const fn needs_config(&self) -> bool {
        !matches!(self, Self::Messages(messages) if messages.reads_elsewhere())
    }
}

/// Why a command ended early.
pub(crate) enum Failure {
    /// The reader of its output has closed it, as with `| head`. This is not an error.
    Unread,
    /// Anything else.
    Told {
        /// The exit code.
        code: u8,
        /// The text for the operator.
        message: String,
    },
}

impl Failure {
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Told { code: crate::USAGE, message: message.to_string() }
    }

    /// The request has no effect, such as for a missing id.
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

/// Runs a command with a config of this origin.
pub(crate) fn run(command: Command, config: &Config, from: &str) -> Result<(), Failure> {
    match command {
        Command::Messages(args) => messages::run(&args, config, from),
        Command::Clients(args) => clients::run(&args, config),
        Command::Backup(args) => backup::save(&args, config, from),
        Command::Restore(args) => backup::restore(&args, config),
    }
}
