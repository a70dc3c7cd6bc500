//! Panics in the log instead of on stderr. The owner of a panicking task may log the panic itself, and add the client's
//! identity.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::thread;

use log::{debug, error};

use super::writer::Backlog;
use super::{LAST_WORDS, backtrace, escape};

/// The log target of these lines.
const TARGET: &str = "trap_server::logging";

/// Maximum bytes of a panic's text in a field.
const SHOWN: usize = 400;

thread_local! {
    static CLAIMED: Cell<bool> = const { Cell::new(false) };
    static CLAIM: RefCell<Option<Crash>> = const { RefCell::new(None) };
}

/// A panic that has not been logged.
#[derive(Debug)]
pub struct Crash {
    text: String,
    /// Whether the text is a part of the program. All others may contain data of a peer.
    is_literal: bool,
    place: String,
}

/// While this value lives, panics of this thread are not logged here: its owner takes the [`Crash`] and logs it.
#[derive(Debug)]
pub struct Claim(());

impl Claim {
    /// Claims the panics of this thread.
    pub fn lay() -> Self {
        if let Some(mut unclaimed) = Crash::take() {
            unclaimed.log_without_owner();
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
        Self {
            text: panic_text(info).into(),
            is_literal: info.payload().is::<&'static str>(),
            place: place.unwrap_or_else(|| "an unknown place".into()),
        }
    }

    fn keep(self) {
        debug!(target: TARGET, "claimed panic at {}: {}", self.place, self.text);
        // Without thread-local storage, the thread is about to end.
        let _ = CLAIM.try_with(|claim| claim.replace(Some(self)));
    }

    fn log(&self) {
        let thread = thread::current();
        let (name, Self { text, place, .. }) = (thread.name().unwrap_or("unnamed"), self);
        error!(target: TARGET, "thread {name} panicked at {place}: {text}");
    }

    /// The text and the place, for panics that concern no peer's data.
    pub fn in_full(&self) -> String {
        format!("{} at={}", self.text, self.place)
    }

    /// The owner of a claimed panic is gone.
    fn log_without_owner(&mut self) {
        if !self.is_literal {
            self.text = "its text may contain data of a peer".into();
        }
        self.log();
    }

    /// The standard library uses this prefix when it aborts next, because of a second panic.
    fn aborts(&self) -> bool {
        self.text.starts_with("panic in a ")
    }
}

/// Without a text that may contain data of a peer.
impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_literal {
            write!(f, "panic=\"{}\" ", escape(self.text.as_bytes(), SHOWN))?;
        }
        write!(f, "at={}", self.place)
    }
}

/// Logs all later panics of this process.
pub(super) fn log(backlog: Arc<Backlog>) {
    panic::set_hook(Box::new(move |info| on_panic(info, &backlog)));
}

fn on_panic(info: &PanicHookInfo<'_>, backlog: &Backlog) {
    let crash = Crash::of(info);
    // A panic while another one unwinds: the owner of the earlier panic may be gone.
    if let Some(mut earlier) = Crash::take() {
        earlier.log_without_owner();
    }
    let (place, aborts) = (crash.place.clone(), crash.aborts());
    match CLAIMED.get() && !aborts {
        true => crash.keep(),
        false => crash.log(),
    }
    backtrace::log(TARGET, &place, aborts);
    if aborts {
        // The process aborts next, so this thread may block.
        backlog.flush(LAST_WORDS);
    }
}

fn panic_text<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
