//! The progress of a long input, for a person at a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// The unit of progress.
#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Lines,
}

/// A bar on standard error, or nothing if that is not a terminal.
pub struct Progress {
    bar: ProgressBar,
    unit: Unit,
}

impl Progress {
    /// Nothing, for a short input.
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), unit: Unit::Lines }
    }

    /// A bar for this many bytes.
    pub fn bytes(total: u64) -> Self {
        let bar = ProgressBar::new(total);
        Self { bar: styled(bar, "{bar:30} {bytes} of {total_bytes}, {eta} left"), unit: Unit::Bytes }
    }

    /// A count of lines, whose total is unknown.
    pub fn lines() -> Self {
        let bar = ProgressBar::no_length();
        Self { bar: styled(bar, "{spinner} {human_pos} lines, {per_sec}"), unit: Unit::Lines }
    }

    /// Data has been sent.
    pub fn sent(&self, data: &[u8]) {
        self.bar.inc(match self.unit {
            Unit::Bytes => data.len() as u64,
            Unit::Lines => 1,
        });
    }

    /// Does something while the bar is out of the way.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bar.suspend(work)
    }
}

/// A template that is wrong is left out.
fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
