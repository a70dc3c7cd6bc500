//! The output: lines to standard output; at a terminal, a prompt or a progress bar to standard error.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use trap_server::client::{Error, Event};
use trap_server::protocol::Reply;

use crate::failure::Failure;
use crate::ping::{Tally, ms};
use crate::progress::Progress;

const PROMPT: &str = "> ";

/// The output style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Lines of text.
    Text,
    /// One JSON object per line.
    Json,
    /// Nothing.
    Quiet,
}

/// The destinations of the output.
pub struct Output {
    style: Style,
    pub progress: Progress,
    /// Whether the input is typed at a terminal.
    is_prompting: bool,
    is_prompted: Cell<bool>,
}

impl Output {
    pub const fn new(style: Style, progress: Progress) -> Self {
        Self { style, progress, is_prompting: false, is_prompted: Cell::new(false) }
    }

    /// Prompts for each line of standard input, if a person types them and sees the prompt.
    pub fn with_prompt(mut self) -> Self {
        let is_seen = io::stdin().is_terminal() && io::stderr().is_terminal();
        self.is_prompting = self.style == Style::Text && is_seen;
        self
    }

    /// Prints what can be typed.
    pub fn greet(&self, server: &str, id: &str) {
        if self.is_prompting {
            note(format_args!("connected to {server} as {id}: each line is one SEND, Ctrl-D ends\n"));
        }
    }

    /// Prompts, unless the prompt is already there.
    pub fn prompt(&self) {
        if self.is_prompting && !self.is_prompted.replace(true) {
            note(PROMPT);
        }
    }

    /// A line was typed after the prompt.
    pub fn typed(&self) {
        self.is_prompted.set(false);
    }

    /// Nothing more is typed.
    pub fn ended(&self) {
        if self.is_prompted.replace(false) {
            note("\n");
        }
    }

    pub fn reply(&self, reply: Reply) -> Result<(), Failure> {
        self.print(reply, || json!({ "reply": reply.word() }))
    }

    /// An event with its data, escaped so that it stays one harmless line.
    pub fn event(&self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::Publish { from, data } => {
                self.print(format_args!("publish from {from}: {}", data.escape_ascii()), || {
                    let from = from.to_string();
                    json!({ "event": "publish", "from": from, "data": encoded(data), "text": as_text(data) })
                })
            }
            Event::Command { id, data } => {
                self.print(format_args!("command {id}: {}", data.escape_ascii()), || {
                    let id = id.to_string();
                    json!({ "event": "command", "id": id, "data": encoded(data), "text": as_text(data) })
                })
            }
        }
    }

    /// A ping that was answered.
    pub fn pong(&self, server: &str, time: Duration) -> Result<(), Failure> {
        let time = ms(time);
        self.print(
            format_args!("pong from {server}: time={time:.2} ms"),
            || json!({ "reply": Reply::Pong.word(), "peer": server, "time_ms": time }),
        )
    }

    /// All pings.
    pub fn tally(&self, server: &str, tally: &Tally) -> Result<(), Failure> {
        self.print(format_args!("--- {server} ping statistics ---\n{tally}"), || tally.json())
    }

    /// A failed call. A refusal is printed as a reply.
    pub fn failed(&self, err: Error) -> Failure {
        match err {
            Error::Refused(reply) => self.reply(reply).err().unwrap_or(Failure::Refused(reply)),
            err => err.into(),
        }
    }

    fn print(&self, line: impl Display, json: impl FnOnce() -> Value) -> Result<(), Failure> {
        let line = match self.style {
            Style::Text => format!("{line}\n"),
            Style::Json => format!("{}\n", json()),
            Style::Quiet => return Ok(()),
        };
        if self.is_prompted.replace(false) {
            // It overwrites the prompt.
            note("\r");
        }
        self.progress.aside(|| text(line))
    }
}

/// Prints a text; unlike `print!` it survives a closed pipe.
pub fn text(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Prints a note for the user. An error is ignored.
fn note(text: impl Display) {
    let _ = io::stderr().write_all(text.to_string().as_bytes());
}

/// Data in base64, as `trap-server messages` prints it.
fn encoded(data: &[u8]) -> String {
    BASE64_STANDARD.encode(data)
}

/// Data as text, if it is UTF-8.
fn as_text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}
