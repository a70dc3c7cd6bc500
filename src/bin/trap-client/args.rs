//! What may stand on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use trap_server::protocol::{BadClientId, ClientId};
use trap_server::when;

use crate::input::Source;

const AFTER_HELP: &str = "\
Without a command, each line of standard input is one SEND, and what the server answers or sends is printed as it comes, \
until the input ends and the last answer is there, or Ctrl-C.

Replies and what the server sends go to standard output, one per line; data is printed as ASCII, other bytes as \\xNN.

Exit codes:
  0   all is well
  1   the server refused, or answered with a failure
  64  bad usage
  65  the data does not fit into one frame
  66  the input cannot be read
  69  the server cannot be reached, took too long, or went away
  71  the system refused what this program needs
  74  the output cannot be written
  76  the server does not keep to the protocol
  130 Ctrl-C while a SEND had no answer yet";

/// Speaks the trap protocol as a device does
#[derive(Debug, Parser)]
#[command(name = "trap-client", after_help = AFTER_HELP)]
pub struct Args {
    /// Name or address of the server
    #[arg(long, global = true, default_value = "127.0.0.1")]
    pub host: String,

    /// Port of the server
    #[arg(long, global = true, default_value_t = 5000)]
    pub port: u16,

    /// Client id to authenticate with
    #[arg(long, global = true, default_value = "client0012", value_parser = client_id)]
    pub id: ClientId,

    /// How long to wait for the connection and for each answer
    #[arg(long, global = true, default_value = "10s", value_parser = duration)]
    pub timeout: Duration,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Ping(Ping),
    Send(Send),
}

/// Authenticates, then pings until Ctrl-C and prints the round-trip times
#[derive(Debug, clap::Args)]
pub struct Ping {
    /// Ends after so many pings
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Pause between a pong and the next ping
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub interval: Duration,
}

/// Authenticates, then sends a text, a file or standard input
#[derive(Debug, clap::Args)]
pub struct Send {
    /// One SEND of these words, joined by a space. None, or `-`: standard input, one SEND per line without its line
    /// ending; empty lines are skipped
    text: Vec<String>,

    /// One SEND of the whole file, at most 65535 bytes
    #[arg(long, conflicts_with = "text")]
    file: Option<PathBuf>,

    /// One SEND without AUTH, on a connection of its own; standard input is sent as a whole
    #[arg(long)]
    pub once: bool,

    /// Stays connected and prints what the server sends, until it closes or Ctrl-C
    #[arg(long, conflicts_with = "once")]
    pub wait: bool,
}

impl Send {
    /// Where the data comes from.
    pub fn source(&self) -> Source {
        match (&self.file, self.text.as_slice()) {
            (Some(path), _) => Source::File(path.clone()),
            (None, []) => Source::Stdin,
            (None, [dash]) if dash == "-" => Source::Stdin,
            (None, words) => Source::Text(words.join(" ")),
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    when::duration(text).map_err(|err| format!("expected {err}"))
}

fn client_id(text: &str) -> Result<ClientId, BadClientId> {
    text.try_into()
}
