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
//! | `pace` | how often somebody is worth lines of his own |

mod escape;
mod lane;
mod line;
mod logger;
mod outage;
mod pace;
mod sums;
mod top;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::time::Duration;
use std::{env, thread};

use env_logger::DEFAULT_WRITE_STYLE_ENV;
use log::{Level, LevelFilter, SetLoggerError, debug, error, log_enabled};

pub use escape::escape;
pub use outage::Outage;
pub use pace::Pace;
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
    panic::set_hook(Box::new(move |info| log_panic(info, &backlog)));
    Ok(logging)
}

fn has_colours(style: &str) -> bool {
    match style {
        "always" => true,
        "never" => false,
        _ => io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

fn log_panic(info: &PanicHookInfo<'_>, backlog: &Backlog) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let (file, line) = info.location().map_or(("an unknown place", 0), |place| (place.file(), place.line()));
    let text = panic_text(info);
    error!("thread {name} panicked at {file}:{line}: {text}");
    if log_enabled!(Level::Debug) {
        log_backtrace();
    }
    // So the standard library begins when it aborts right after this, because a panic met another: this thread has
    // no work left to be kept from.
    if text.starts_with("panic in a ") {
        backlog.flush(LAST_WORDS);
    }
}

fn log_backtrace() {
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        backtrace.to_string().lines().for_each(|line| debug!("{line}"));
    }
}

fn panic_text<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
