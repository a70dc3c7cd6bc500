//! The arguments of the command line.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use trap_server::client::{Certificate, Tls, TlsError, Trust};
use trap_server::protocol::{BadClientId, ClientId};
use trap_server::when;

use crate::input::Source;
use crate::output::Style;

const AFTER_HELP: &str = "\
Without a command, each line of standard input is one SEND. Everything that the server sends is printed as it arrives, \
until the last line is answered, or Ctrl-C.

Replies and what the server sends go to standard output, one per line; data is printed as ASCII, other bytes as \\xNN. \
Errors, the prompt at a terminal, and the progress of a long input go to standard error.

Exit codes:
  0   success
  1   the server refused, or answered with a failure
  64  bad usage
  65  the data does not fit into one frame
  66  the input cannot be read
  69  the server cannot be reached, timed out, or closed the connection
  71  the system refused a resource
  74  the output cannot be written
  76  the server violated the protocol
  130 Ctrl-C with an unanswered SEND";

/// A device of the trap protocol, on the command line
#[derive(Debug, Parser)]
#[command(name = "trap-client", version, after_help = AFTER_HELP, disable_help_flag = true)]
pub struct Args {
    /// Name or address of the server, or HOST:PORT, or unix:PATH; an IPv6 address with a port needs brackets
    #[arg(short, long, global = true, env = "TRAP_HOST", default_value = "127.0.0.1")]
    host: Host,

    /// Port of the server
    #[arg(short, long, global = true, env = "TRAP_PORT", default_value_t = 5000)]
    port: u16,

    /// Client id to authenticate with
    #[arg(long, global = true, env = "TRAP_ID", default_value = "client0012", value_parser = client_id)]
    pub id: ClientId,

    /// Timeout for the connection and for each answer
    #[arg(long, global = true, env = "TRAP_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,

    /// Connect with TLS; needs --ca or --insecure
    #[arg(long, global = true)]
    tls: bool,

    /// Authorities that the server is trusted by, in a PEM file, such as /etc/ssl/certs/ca-certificates.crt
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Certificate of the device, in a PEM file; needs --key
    #[arg(long, global = true, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// Private key of the device, in a PEM file; needs --cert
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Name in the certificate of the server, if it is not that of --host
    #[arg(long, global = true, value_name = "NAME")]
    server_name: Option<String>,

    /// Trust every server
    #[arg(long, global = true)]
    insecure: bool,

    /// Print only errors
    #[arg(short, long, global = true, conflicts_with = "json")]
    quiet: bool,

    /// Print one JSON object per line; data in base64, and as text if it is UTF-8
    #[arg(long, global = true)]
    json: bool,

    /// Print this help
    #[arg(long, global = true, action = ArgAction::Help)]
    help: Option<bool>,

    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Args {
    /// The arguments of the command line and of the environment.
    pub fn read() -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches()?;
        let mut args = Self::from_arg_matches(&matches)?;
        let is_typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        match args.host.port {
            Some(port) if is_typed("host") && is_typed("port") && port != args.port => {
                let message = format!("the host has the port {port}, and `--port` is {}", args.port);
                return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
            }
            // The command line overrides the environment.
            Some(port) if !is_typed("port") => args.port = port,
            _ => {}
        }
        match args.contradiction() {
            Some(message) => Err(Self::command().error(ErrorKind::ArgumentConflict, message)),
            None => Ok(args),
        }
    }

    fn contradiction(&self) -> Option<&'static str> {
        let has_more =
            self.ca.is_some() || self.cert.is_some() || self.server_name.is_some() || self.insecure;
        match self.tls {
            false if has_more || self.key.is_some() => {
                Some("`--ca`, `--cert`, `--key`, `--server-name` and `--insecure` need `--tls`")
            }
            true if self.host.name.starts_with(UNIX) => Some("a Unix socket has no TLS: leave `--tls` out"),
            true if self.ca.is_some() == self.insecure => Some("`--tls` needs either `--ca` or `--insecure`"),
            true if self.cert.is_some() != self.key.is_some() => Some("`--cert` and `--key` need each other"),
            _ => None,
        }
    }

    /// Whether every server is trusted.
    pub const fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// TLS, if it is asked for.
    pub fn tls(&self) -> Result<Option<Tls>, TlsError> {
        if !self.tls {
            return Ok(None);
        }
        let server = self.server_name.as_ref().unwrap_or(&self.host.name);
        let trust = self.ca.clone().map_or(Trust::Anybody, Trust::Ca);
        let own = self.cert.clone().zip(self.key.clone());
        let own = own.map(|(certificate, key)| Certificate { certificate, key });
        Tls::new(server, &trust, own.as_ref()).map(Some)
    }

    /// The output style.
    pub const fn style(&self) -> Style {
        match (self.quiet, self.json) {
            (true, _) => Style::Quiet,
            (false, true) => Style::Json,
            (false, false) => Style::Text,
        }
    }

    /// Where the server is.
    pub fn server(&self) -> Server<'_> {
        match self.host.name.strip_prefix(UNIX) {
            Some(path) => Server::Unix(Path::new(path)),
            None => Server::Tcp(&self.host.name, self.port),
        }
    }
}

/// A server to connect to.
pub enum Server<'a> {
    Tcp(&'a str, u16),
    Unix(&'a Path),
}

/// What stands before the path of a Unix socket.
const UNIX: &str = "unix:";

/// A server as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    name: String,
    port: Option<u16>,
}

impl FromStr for Host {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.strip_prefix(UNIX).is_some_and(|path| !path.is_empty()) {
            return Ok(Self { name: text.into(), port: None });
        }
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, behind) = rest.split_once(']').ok_or("expected [IPV6] or [IPV6]:PORT")?;
                let port =
                    if behind.is_empty() { None } else { Some(behind.strip_prefix(':').unwrap_or("")) };
                (name, port)
            }
            // An IPv6 address without brackets has several colons.
            None => match text.split_once(':').filter(|(_, port)| !port.contains(':')) {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        if name.is_empty() {
            return Err("expected HOST or HOST:PORT");
        }
        let port = port
            .map(str::parse)
            .transpose()
            .map_err(|_| "expected a port from 0 to 65535 behind the colon")?;
        Ok(Self { name: name.into(), port })
    }
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Ping(Ping),
    Send(Send),
}

/// Authenticates, then pings until Ctrl-C and prints the round-trip times
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Ping {
    /// Number of pings; the default is unlimited
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Pause between a pong and the next ping
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub interval: Duration,
}

/// Authenticates, then sends a text, a file or standard input
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Send {
    /// Words to send as one SEND, joined by spaces. None, or `-`: standard input, one SEND per line without its line
    /// ending; empty lines are skipped
    text: Vec<String>,

    /// Send the whole file as one SEND, at most 65535 bytes; a longer one needs --split
    #[arg(long, conflicts_with = "text")]
    pub file: Option<PathBuf>,

    /// Split the file into SENDs of 65535 bytes
    #[arg(long, requires = "file", conflicts_with_all = ["once", "text"])]
    pub split: bool,

    /// Send a one-shot: one SEND without AUTH; standard input is sent as a whole
    #[arg(long)]
    pub once: bool,

    /// Stay connected and print what the server sends, until it closes or Ctrl-C
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_have_a_port() {
        for (text, name, port) in [
            ("localhost", "localhost", None),
            ("localhost:5001", "localhost", Some(5001)),
            ("127.0.0.1:0", "127.0.0.1", Some(0)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:5001", "::1", Some(5001)),
            ("unix:run/a:b", "unix:run/a:b", None),
        ] {
            assert_eq!(text.parse(), Ok(Host { name: name.into(), port }), "{text}");
        }
        for text in [
            "",
            ":5000",
            "localhost:",
            "localhost:x",
            "localhost:65536",
            "[::1",
            "[::1]5000",
            "[]:1",
            "unix:",
        ] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
