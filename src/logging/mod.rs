//! The log: `log` and env_logger, made safe for threads that must not wait. A reader of the log that stalls costs
//! lines, which are counted and reported, and never a worker's time.
//!
//! | file | subject |
//! |---|---|
//! | `writer` | the buffer that never makes anyone wait, and the thread that empties it |
//! | `logger` | which records become lines |
//! | `lane` | what a line is about: the server, or single sessions, which go first when there is no room |
//! | `line` | what a line looks like |
//! | `escape` | data from outside in a line |
//! | `outage` | what is out of order for a while, said once |
//! | `sums` `top` | what strangers can cause at will: the first, and a sum with the busiest source |
//! | `panics` | a panic in the log |
//! | `pace` | how often somebody is worth lines of his own |

mod escape;
mod lane;
mod line;
mod logger;
mod outage;
mod pace;
mod panics;
mod sums;
mod top;
mod writer;

use std::env;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use env_logger::DEFAULT_WRITE_STYLE_ENV;
use log::{LevelFilter, SetLoggerError};

pub use escape::escape;
pub use outage::Outage;
pub use pace::Pace;
pub use panics::{Claim, Crash};
pub use sums::{Sum, Sums};

use line::Line;
use logger::Logger;
use writer::{Backlog, Writer};

/// How long the end of the process waits for the last lines where nobody gave a deadline.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The log of this process. Keep it in `main` to the end: dropping it flushes for half a second at most, so that the
/// last lines come out even if `main` panics. It goes on working afterwards.
#[must_use]
pub struct Logging {
    backlog: Arc<Backlog>,
}

impl Logging {
    /// Waits until everything logged so far is written, or dropped because stderr failed. False if that takes longer
    /// than `deadline`. To be called before `process::exit`.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.backlog.flush(deadline)
    }

    /// Lines lost since the start: the reader was too slow, or stderr failed.
    pub fn dropped(&self) -> u64 {
        self.backlog.dropped()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.flush(LAST_WORDS);
    }
}

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system refused a thread.
    #[error("the log needs a thread of its own: {0}")]
    Thread(#[from] io::Error),
    /// It can be started once in a process.
    #[error("this process has a log already: {0}")]
    Second(#[from] SetLoggerError),
}

/// Logs to stderr from now on, panics included, whatever is at least as severe as `level`. A `RUST_LOG` that is not
/// empty replaces `level`, as env_logger reads it; `RUST_LOG_STYLE` and `NO_COLOR` have their usual meaning. Nothing
/// else should write to stderr from then on: `eprintln!` waits for a reader that stalls.
pub fn start(level: LevelFilter) -> Result<Logging, StartError> {
    let line =
        Line { colours: has_colours(env::var(DEFAULT_WRITE_STYLE_ENV).as_deref().unwrap_or_default()) };
    let writer = Writer::open(io::stderr(), line)?;
    let backlog = writer.backlog();
    Logger::new(level, line, writer).start()?;
    let logging = Logging { backlog: Arc::clone(&backlog) };
    panics::log(backlog);
    Ok(logging)
}

fn has_colours(style: &str) -> bool {
    match style {
        "always" => true,
        "never" => false,
        _ => io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}
