//! Panics in the log instead of on stderr. The owner of a panicking task may log the panic itself, and add the client's
//! identity.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Instant;

use log::{Level, debug, error, log_enabled};

use super::writer::Backlog;
use super::{LAST_WORDS, Pace, escape};

/// The log target of these lines.
const TARGET: &str = "trap_server::logging";

/// Maximum bytes of a panic's text in a field. It may contain data of a peer.
const SHOWN: usize = 400;

/// The backtrace of a place is logged at most once a minute.
static BACKTRACES: LazyLock<Pace> = LazyLock::new(|| Pace::new(1.0, 1.0 / 60.0));

thread_local! {
    static CLAIMED: Cell<bool> = const { Cell::new(false) };
    static CLAIM: RefCell<Option<Crash>> = const { RefCell::new(None) };
}

/// A panic that has not been logged.
#[derive(Debug)]
pub struct Crash {
    text: String,
    place: String,
}

/// While this value lives, panics of this thread are not logged here: its owner takes the [`Crash`] and logs it.
#[derive(Debug)]
pub struct Claim(());

impl Claim {
    /// Claims the panics of this thread.
    pub fn lay() -> Self {
        if let Some(unclaimed) = Crash::take() {
            unclaimed.log();
        }
        CLAIMED.set(true);
        Self(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.set(false);
    }
}

impl Crash {
    /// The last claimed panic of this thread, if it has not been logged.
    pub fn take() -> Option<Self> {
        CLAIM.try_with(RefCell::take).ok().flatten()
    }

    fn of(info: &PanicHookInfo<'_>) -> Self {
        let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
        Self { text: panic_text(info).into(), place: place.unwrap_or_else(|| "an unknown place".into()) }
    }

    fn keep(self) {
        // Without thread-local storage, the thread is about to end.
        let _ = CLAIM.try_with(|claim| claim.replace(Some(self)));
    }

    fn log(&self) {
        let thread = thread::current();
        let (name, Self { text, place }) = (thread.name().unwrap_or("unnamed"), self);
        error!(target: TARGET, "thread {name} panicked at {place}: {text}");
    }

    /// The standard library uses this prefix when it aborts next, because of a second panic.
    fn aborts(&self) -> bool {
        self.text.starts_with("panic in a ")
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panic=\"{}\" at={}", escape(self.text.as_bytes(), SHOWN), self.place)
    }
}

/// Logs all later panics of this process.
pub(super) fn log(backlog: Arc<Backlog>) {
    panic::set_hook(Box::new(move |info| on_panic(info, &backlog)));
}

fn on_panic(info: &PanicHookInfo<'_>, backlog: &Backlog) {
    let crash = Crash::of(info);
    // A panic while another one unwinds: the owner of the earlier panic may be gone.
    if let Some(earlier) = Crash::take() {
        earlier.log();
    }
    let (place, aborts) = (crash.place.clone(), crash.aborts());
    match CLAIMED.get() && !aborts {
        true => crash.keep(),
        false => crash.log(),
    }
    log_backtrace(&place);
    if aborts {
        // The process aborts next, so this thread may block.
        backlog.flush(LAST_WORDS);
    }
}

fn log_backtrace(place: &str) {
    if !log_enabled!(target: TARGET, Level::Debug) || !BACKTRACES.admits(place, Instant::now()) {
        return;
    }
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
