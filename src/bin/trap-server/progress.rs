//! The progress of a long copy, for a person at a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, or nothing if that is not a terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar without a length, until it is known.
    pub(crate) fn bytes() -> Self {
        let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {eta} left");
        let bar = ProgressBar::no_length();
        // A template that is wrong is left out.
        Self(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// The length is known.
    pub(crate) fn total(&self, bytes: u64) {
        self.0.set_length(bytes);
    }

    /// More is done.
    pub(crate) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Does something while the bar is out of the way.
    pub(crate) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.suspend(work)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
