//! What is printed, one line at a time.

use std::fmt::Display;
use std::io::{self, Write};

use trap_server::client::Event;

use crate::failure::Failure;

/// Prints a line; unlike `println!` it survives a closed pipe.
pub fn line(text: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(Failure::Output)
}

/// Prints an event with its data, escaped so that it stays one harmless line.
pub fn event(event: &Event) -> Result<(), Failure> {
    match event {
        Event::Publish { from, data } => line(format_args!("publish from {from}: {}", data.escape_ascii())),
        Event::Command { id, data } => line(format_args!("command {id}: {}", data.escape_ascii())),
    }
}
