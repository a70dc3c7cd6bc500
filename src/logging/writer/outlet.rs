//! The writer thread: its handling of a batch of lines, and of a failing destination.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind};
use std::{mem, thread};

use log::Level;

use super::super::line::Line;
use super::{Backlog, CAPACITY, Dropped, GATHER};

/// The target of reports on dropped lines.
const REPORTER: &str = "trap_server::logging";

/// A destination, and the reports that it has not received yet.
pub(super) struct Outlet<W> {
    destination: W,
    line: Line,
    /// The rest of a line that was partly written before a failure.
    torn: Vec<u8>,
    /// Dropped lines that are not reported in the log yet.
    unreported: Dropped,
    /// The reason, unless the buffer was full.
    failure: Option<io::Error>,
}

impl<W: io::Write> Outlet<W> {
    /// `line` is the format of reports on dropped lines.
    pub(super) fn new(destination: W, line: Line) -> Self {
        Self { destination, line, torn: Vec::new(), unreported: Dropped::default(), failure: None }
    }

    /// Writes incoming lines until the last logging handle is dropped.
    pub(super) fn run(mut self, backlog: &Backlog) {
        let mut batch = Vec::with_capacity(CAPACITY);
        while let Some(overflowed) = backlog.take(&mut batch) {
            let failed = self.deliver(&batch, overflowed);
            batch.clear();
            backlog.settle(failed);
        }
    }

    /// Writes a batch, and reports the gaps before and after it. Returns the number of its lines that were dropped
    /// because the destination failed. There is no retry: the next batch shows whether the destination has recovered.
    fn deliver(&mut self, batch: &[u8], overflowed: Dropped) -> u64 {
        let failed = if self.catch_up() { self.write_lines(batch) } else { count_lines(batch) };
        self.unreported.lines += failed + overflowed.lines;
        self.unreported.of_sessions += overflowed.of_sessions;
        if failed == 0 {
            self.catch_up();
        }
        failed
    }

    /// Ends the torn line and reports dropped lines. Returns false if the destination does not accept all of it.
    fn catch_up(&mut self) -> bool {
        let torn = mem::take(&mut self.torn);
        let taken = self.write_some(&torn);
        self.torn.extend(torn.iter().skip(taken));
        if self.unreported.total() > 0 && self.torn.is_empty() && self.write_lines(&self.report()) == 0 {
            self.unreported = Dropped::default();
        }
        if self.unreported.total() > 0 || !self.torn.is_empty() {
            return false;
        }
        self.failure = None;
        true
    }

    fn report(&self) -> Vec<u8> {
        let mut report = Vec::new();
        let dropped = self.unreported;
        let reason: &dyn Display = match &self.failure {
            Some(err) => err,
            None => &"the reader of the log was too slow",
        };
        let text = format_args!("{dropped} were dropped: {reason}");
        self.line
            .write(&mut report, Level::Warn, REPORTER, text)
            .expect("numbers and errors can be formatted");
        report
    }

    /// Returns the number of lines of which the destination accepted nothing.
    fn write_lines(&mut self, lines: &[u8]) -> u64 {
        let taken = self.write_some(lines);
        let (written, rest) = lines.split_at_checked(taken).unwrap_or((lines, &[]));
        if written.is_empty() || written.ends_with(b"\n") {
            return count_lines(rest);
        }
        let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (torn, rest) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        self.torn.extend_from_slice(torn);
        count_lines(rest)
    }

    /// Returns the number of bytes that the destination accepted before it failed, or all.
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.destination.write(rest) {
                Ok(0) => return self.fail(taken, ErrorKind::WriteZero.into()),
                Ok(len) => taken += len,
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                // Another user of the terminal made it non-blocking: it is slow, not broken.
                Err(err) if err.kind() == ErrorKind::WouldBlock => thread::sleep(GATHER),
                Err(err) => return self.fail(taken, err),
            }
        }
        taken
    }

    fn fail(&mut self, taken: usize, err: io::Error) -> usize {
        self.failure = Some(err);
        taken
    }
}

impl Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { lines, of_sessions: 0 } => write!(f, "{lines} lines"),
            Self { lines: 0, of_sessions } => write!(f, "{of_sessions} session lines"),
            Self { lines, of_sessions } => write!(f, "{lines} lines and {of_sessions} session lines"),
        }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}
