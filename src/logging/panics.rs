//! Panics, in the log instead of on stderr. What a panic ends may log it itself, with what the panic does not know: who it
//! was.

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

/// Whose lines these are.
const TARGET: &str = "trap_server::logging";

/// How much of a panic's text is shown where it is a field, in bytes. It may have something of a peer in it.
const SHOWN: usize = 400;

/// A place that panics shows its backtrace once a minute.
static BACKTRACES: LazyLock<Pace> = LazyLock::new(|| Pace::new(1.0, 1.0 / 60.0));

thread_local! {
    static CLAIMED: Cell<bool> = const { Cell::new(false) };
    static CLAIM: RefCell<Option<Crash>> = const { RefCell::new(None) };
}

/// A panic that is not logged yet.
#[derive(Debug)]
pub struct Crash {
    text: String,
    place: String,
}

/// While this lives, a panic of this thread is not logged: what it ends takes the [`Crash`] and does that.
#[derive(Debug)]
pub struct Claim(());

impl Claim {
    /// Lays claim to the panics of this thread.
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
    /// The panic that was claimed last on this thread, if it is not logged yet.
    pub fn take() -> Option<Self> {
        CLAIM.try_with(RefCell::take).ok().flatten()
    }

    fn of(info: &PanicHookInfo<'_>) -> Self {
        let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
        Self { text: panic_text(info).into(), place: place.unwrap_or_else(|| "an unknown place".into()) }
    }

    fn keep(self) {
        // Without a place to keep it the thread is at its end.
        let _ = CLAIM.try_with(|claim| claim.replace(Some(self)));
    }

    fn log(&self) {
        let thread = thread::current();
        let (name, Self { text, place }) = (thread.name().unwrap_or("unnamed"), self);
        error!(target: TARGET, "thread {name} panicked at {place}: {text}");
    }

    /// The standard library begins so when it aborts right after this, because a panic met another.
    fn aborts(&self) -> bool {
        self.text.starts_with("panic in a ")
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panic=\"{}\" at={}", escape(self.text.as_bytes(), SHOWN), self.place)
    }
}

/// Logs the panics of this process from now on.
pub(super) fn log(backlog: Arc<Backlog>) {
    panic::set_hook(Box::new(move |info| on_panic(info, &backlog)));
}

fn on_panic(info: &PanicHookInfo<'_>, backlog: &Backlog) {
    let crash = Crash::of(info);
    // A panic while another one unwinds: nobody may be left to log either.
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
        // This thread has no work left to be kept from.
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
