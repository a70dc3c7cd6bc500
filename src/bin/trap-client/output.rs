//! What is printed, one line at a time.

use std::fmt::Display;
use std::io::{self, Write};

use trap_server::client::Event;

use crate::failure::Failure;

/// Prints a text; unlike `print!` it survives a closed pipe.
pub fn text(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Prints a line.
pub fn line(line: impl Display) -> Result<(), Failure> {
    text(format_args!("{line}\n"))
}

/// Prints an event with its data, escaped so that it stays one harmless line.
pub fn event(event: &Event) -> Result<(), Failure> {
    match event {
        Event::Publish { from, data } => line(format_args!("publish from {from}: {}", data.escape_ascii())),
        Event::Command { id, data } => line(format_args!("command {id}: {}", data.escape_ascii())),
    }
}
