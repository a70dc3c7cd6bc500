//! The log: `log` and env_logger, made safe for threads that must not block. A slow reader of the log costs lines,
//! which are counted and reported, but never a worker's time.
//!
//! | file | subject |
//! |---|---|
//! | `writer` | the non-blocking buffer, and the thread that empties it |
//! | `logger` | which records become lines |
//! | `lane` | the subject of a line: the server, or single sessions, whose lines are dropped first |
//! | `line` | the format of a line |
//! | `escape` | escaping of external data |
//! | `outage` | outages, logged once |
//! | `sums` `top` | events that strangers can cause at will: the first, and a sum with the busiest source |
//! | `panics` `backtrace` | panics in the log |
//! | `pace` | rate limits by name |

mod backtrace;
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

/// Timeout for the last lines at process exit if no deadline is given.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The log of this process. Keep it in `main` to the end: dropping it flushes for up to half a second, so that the last
/// lines are written even if `main` panics. Logging still works afterwards.
#[must_use]
pub struct Logging {
    backlog: Arc<Backlog>,
}

impl Logging {
    /// Waits until all lines so far are written, or dropped because stderr failed. Returns false if that exceeds
    /// `deadline`. Call it before `process::exit`.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.backlog.flush(deadline)
    }

    /// Lines lost since the start, because the reader was too slow or stderr failed.
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
    /// The operating system refused to start a thread.
    #[error("cannot start the log's thread: {0}")]
    Thread(#[from] io::Error),
    /// A process can start it only once.
    #[error("this process already has a log: {0}")]
    Second(#[from] SetLoggerError),
}

/// Logs to stderr from now on, including panics, at `level` and above. A non-empty `RUST_LOG` replaces `level`, with
/// the syntax of env_logger; `RUST_LOG_STYLE` and `NO_COLOR` have their usual meaning. Do not write to stderr in other
/// ways afterwards: `eprintln!` blocks when its reader stalls.
pub fn start(level: LevelFilter) -> Result<Logging, StartError> {
    let line =
        Line { colours: has_colours(env::var(DEFAULT_WRITE_STYLE_ENV).as_deref().unwrap_or_default()) };
    let writer = Writer::open(io::stderr(), line)?;
    let backlog = writer.backlog();
    Logger::new(line, writer).start(level)?;
    let logging = Logging { backlog: Arc::clone(&backlog) };
    panics::log(backlog);
    Ok(logging)
}

/// Logs at this level and above from now on. Returns false if `RUST_LOG` has replaced the level, and still does.
pub fn set_level(level: LevelFilter) -> bool {
    let is_ours = logger::filters().is_none();
    if is_ours {
        log::set_max_level(level);
    }
    is_ours
}

fn has_colours(style: &str) -> bool {
    match style {
        "always" => true,
        "never" => false,
        _ => io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}
