//! Why the program fails, as one line and an exit code (of sysexits.h where it has one).

use std::io;
use std::path::PathBuf;

use trap_server::client::{Error, TlsError};
use trap_server::protocol::{MAX_DATA, Reply};

use crate::output::Style;

/// EX_USAGE: the command line is not understood.
pub const USAGE: u8 = 64;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("cannot connect to {host} port {port}: {err}")]
    Connect { host: String, port: u16, err: Error },
    #[error("cannot connect to {}: {err}", .path.display())]
    ConnectUnix { path: PathBuf, err: Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Device(#[from] Error),
    /// It was also printed as a reply.
    #[error("the server refused: {0}")]
    Refused(Reply),
    #[error("stopped with {unanswered} unanswered SENDs")]
    Interrupted { unanswered: usize },
    #[error("cannot read {}: {err}", .path.display())]
    File { path: PathBuf, err: io::Error },
    #[error("cannot read standard input: {0}")]
    Stdin(io::Error),
    #[error(
        "{} is too long for one SEND, the limit is {MAX_DATA} bytes; --split sends it as several SENDs", .path.display()
    )]
    FileTooLong { path: PathBuf },
    #[error("line {number} of standard input is too long for one SEND, the limit is {MAX_DATA} bytes")]
    LineTooLong { number: u64 },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl Failure {
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Device(Error::Refused(_)) => 1,
            Self::FileTooLong { .. } | Self::LineTooLong { .. } | Self::Device(Error::DataTooLong(_)) => 65,
            Self::File { .. } | Self::Stdin(_) | Self::Tls(_) => 66,
            Self::Runtime(_) => 71,
            Self::Output(_) => 74,
            Self::Device(Error::Unexpected { .. } | Error::NotAnAnswer(_)) => 76,
            Self::Interrupted { .. } => 130,
            Self::Connect { .. } | Self::ConnectUnix { .. } | Self::Device(_) => 69,
        }
    }

    /// A printed reply already reports the refusal.
    pub fn is_news(&self, style: Style) -> bool {
        !matches!(self, Self::Refused(_)) || style == Style::Quiet
    }
}
