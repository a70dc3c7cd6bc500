//! The log of this process, for tests that read it. Servers of the same process share it: ask for a listener's name, which
//! is also the name of the thread that runs the server's supervisor.

use std::sync::{Mutex, Once};

use log::{LevelFilter, Log, Metadata, Record};

struct Capture(Mutex<Vec<String>>);

static CAPTURE: Capture = Capture(Mutex::new(Vec::new()));

/// Captures the log from now on.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&CAPTURE).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
}

/// The lines with all of these words, oldest first.
pub fn lines(words: &[&str]) -> Vec<String> {
    let lines = CAPTURE.0.lock().unwrap();
    lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).cloned().collect()
}

/// Whether there is a line with all of these words.
pub fn has(words: &[&str]) -> bool {
    !lines(words).is_empty()
}

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let thread = std::thread::current();
        let line = format!("{} {} {}", thread.name().unwrap_or_default(), record.level(), record.args());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}
