//! Which records become lines: `RUST_LOG` or the level, as env_logger reads them.

use std::env;

use env_logger::{Builder, DEFAULT_FILTER_ENV};
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

use super::lane::Lane;
use super::line::Line;
use super::writer::Writer;

/// Room for most lines.
const USUAL: usize = 256;

/// Formats what passes the filter, and hands it to the writer.
pub(super) struct Logger {
    filter: env_logger::Logger,
    line: Line,
    writer: Writer,
}

impl Logger {
    /// Whatever is at least as severe as `level`, unless a `RUST_LOG` that is not empty says otherwise.
    pub(super) fn new(level: LevelFilter, line: Line, writer: Writer) -> Self {
        let mut builder = Builder::new();
        match env::var(DEFAULT_FILTER_ENV) {
            Ok(filters) if !filters.is_empty() => builder.parse_filters(&filters),
            _ => builder.filter_level(level),
        };
        Self { filter: builder.build(), line, writer }
    }

    /// Becomes the log of this process.
    pub(super) fn start(self) -> Result<(), SetLoggerError> {
        let level = self.filter.filter();
        log::set_boxed_logger(Box::new(self))?;
        log::set_max_level(level);
        Ok(())
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.matches(record) {
            return;
        }
        let mut line = Vec::with_capacity(USUAL);
        if self.line.write(&mut line, record.level(), record.target(), *record.args()).is_ok() {
            self.writer.write(Lane::of(record.metadata()), &line);
        }
    }

    /// Does nothing: whoever waits for the writer needs a deadline.
    fn flush(&self) {}
}
