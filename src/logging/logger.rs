//! The filter of records: `RUST_LOG` or the level, with the syntax of env_logger.

use std::env;

use env_logger::{Builder, DEFAULT_FILTER_ENV};
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

use super::lane::Lane;
use super::line::Line;
use super::writer::Writer;

/// Capacity for most lines.
const USUAL: usize = 256;

/// Formats the records that pass the filter, and hands them to the writer.
pub(super) struct Logger {
    filter: env_logger::Logger,
    line: Line,
    writer: Writer,
}

impl Logger {
    /// Passes the records that a non-empty `RUST_LOG` selects. Without it, all records pass: the maximum level of the
    /// process decides.
    pub(super) fn new(line: Line, writer: Writer) -> Self {
        let mut builder = Builder::new();
        match filters() {
            Some(filters) => builder.parse_filters(&filters),
            None => builder.filter_level(LevelFilter::Trace),
        };
        Self { filter: builder.build(), line, writer }
    }

    /// Installs this as the log of the process, at this level unless `RUST_LOG` replaces it.
    pub(super) fn start(self, level: LevelFilter) -> Result<(), SetLoggerError> {
        let max_level = if filters().is_some() { self.filter.filter() } else { level };
        log::set_boxed_logger(Box::new(self))?;
        log::set_max_level(max_level);
        Ok(())
    }
}

/// The filters of a non-empty `RUST_LOG`.
pub(super) fn filters() -> Option<String> {
    env::var(DEFAULT_FILTER_ENV).ok().filter(|filters| !filters.is_empty())
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

    /// Does nothing: waiting for the writer needs a deadline.
    fn flush(&self) {}
}
