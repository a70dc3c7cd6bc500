//! How an actor ended, and how an actor ends itself with a reason.

use std::any::Any;
use std::fmt;

use tokio::task::JoinError;

use crate::logging::Crash;

/// The end of an actor, as its supervisor receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It stopped by itself.
    Normal,
    /// It gave up with a reason, see [`exit`].
    Failed(String),
    /// It panicked with this text.
    Panicked(String),
    /// It was aborted, or its thread is gone.
    Killed,
}

impl Exit {
    pub(super) fn of(result: Result<(), JoinError>) -> Self {
        let Err(err) = result else {
            return Self::Normal;
        };
        let Ok(payload) = err.try_into_panic() else {
            return Self::Killed;
        };
        match payload.downcast::<Reason>() {
            Ok(reason) => Self::Failed(reason.0),
            Err(payload) => Self::Panicked(panic_text(payload.as_ref()).to_owned()),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("stopped"),
            Self::Failed(reason) => f.write_str(reason),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::Killed => f.write_str("killed"),
        }
    }
}

/// The payload of a panic that was caught on this thread under a claim, with the place of the panic.
pub(super) fn with_place(payload: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
    match Crash::take() {
        Some(crash) => Box::new(crash.in_full()),
        // An `exit`, or a process without this log.
        None => payload,
    }
}

struct Reason(String);

/// Ends the actor that calls this, like Erlang's `exit(Reason)`: it unwinds to the actor's task without the panic hook.
pub fn exit(reason: impl Into<String>) -> ! {
    std::panic::resume_unwind(Box::new(Reason(reason.into())))
}

/// The text of a panic, from its payload.
pub fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
