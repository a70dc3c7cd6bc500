//! Panics, in the log instead of on stderr.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::thread;

use log::{Level, debug, error, log_enabled};

use super::LAST_WORDS;
use super::writer::Backlog;

/// Whose lines these are.
const TARGET: &str = "trap_server::logging";

/// Logs the panics of this process from now on.
pub(super) fn log(backlog: Arc<Backlog>) {
    panic::set_hook(Box::new(move |info| log_panic(info, &backlog)));
}

fn log_panic(info: &PanicHookInfo<'_>, backlog: &Backlog) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let (file, line) = info.location().map_or(("an unknown place", 0), |place| (place.file(), place.line()));
    let text = panic_text(info);
    error!(target: TARGET, "thread {name} panicked at {file}:{line}: {text}");
    if log_enabled!(target: TARGET, Level::Debug) {
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
        backtrace.to_string().lines().for_each(|line| debug!(target: TARGET, "{line}"));
    }
}

fn panic_text<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
