//! A bounded buffer between the threads that log and the destination of the log. The destination may block, those
//! threads never do: lines that do not fit are dropped, counted, and reported in the log itself.

mod outlet;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{mem, thread};

use super::lane::Lane;
use super::line::Line;
use outlet::Outlet;

/// Maximum bytes that wait for the writer thread: about ten thousand lines, or seconds of a busy server's log. The
/// writer thread has another buffer of this size.
const CAPACITY: usize = 1 << 20;

/// The part of the buffer reserved for the server's own lines: about a thousand lines, or hours of an idle server's
/// log.
const RESERVED: usize = CAPACITY / 4;

/// How long the writer thread collects lines. A person does not notice the delay, and a busy server has at most a
/// hundred wake-ups and writes per second.
const GATHER: Duration = Duration::from_millis(10);

/// The handle of the threads that log. Dropping it ends the writer thread after the remaining lines.
pub(super) struct Writer {
    backlog: Arc<Backlog>,
}

impl Writer {
    /// Starts the thread that writes to `destination`; `line` is the format of reports on dropped lines. Fails if no
    /// thread can be started.
    pub(super) fn open(destination: impl io::Write + Send + 'static, line: Line) -> io::Result<Self> {
        let backlog = Arc::new(Backlog::default());
        let outlet = Outlet::new(destination, line);
        let taken_from = Arc::clone(&backlog);
        thread::Builder::new().name("log".into()).spawn(move || outlet.run(&taken_from))?;
        Ok(Self { backlog })
    }

    /// Takes a line that ends with a line break. Never blocks.
    pub(super) fn write(&self, lane: Lane, line: &[u8]) {
        self.backlog.push(lane, line);
    }

    /// The waiting lines, for queries and flushes from any thread.
    pub(super) fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.backlog.lock().closed = true;
        self.backlog.work.notify_one();
    }
}

/// The waiting lines, and the counts of all others.
pub(super) struct Backlog {
    state: Mutex<State>,
    /// There are lines to write, or a flush is requested.
    work: Condvar,
    /// A batch is finished.
    settled: Condvar,
}

/// Lines that were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dropped {
    /// Lines of the server; lines of both lanes if the destination failed.
    lines: u64,
    /// Lines of sessions, because the buffer was full.
    of_sessions: u64,
}

struct State {
    /// Lines of both lanes, in order.
    pending: Vec<u8>,
    /// Lines dropped since the last batch was taken. Until the next batch, all further lines of that lane are dropped
    /// too, even short ones: so the gap is at one place of the log, marked by the report.
    overflowed: Dropped,
    dropped: u64,
    batches_taken: u64,
    batches_settled: u64,
    in_haste: bool,
    closed: bool,
}

impl Default for Backlog {
    fn default() -> Self {
        let state = State {
            pending: Vec::with_capacity(CAPACITY),
            overflowed: Dropped::default(),
            dropped: 0,
            batches_taken: 0,
            batches_settled: 0,
            in_haste: false,
            closed: false,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), settled: Condvar::new() }
    }
}

impl Dropped {
    const fn total(self) -> u64 {
        self.lines + self.of_sessions
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.overflowed.total() == 0
    }

    fn push(&mut self, lane: Lane, line: &[u8]) {
        let (overflowed, capacity) = match lane {
            Lane::Server => (&mut self.overflowed.lines, CAPACITY),
            Lane::Sessions => (&mut self.overflowed.of_sessions, CAPACITY - RESERVED),
        };
        if *overflowed == 0 && self.pending.len() + line.len() <= capacity {
            self.pending.extend_from_slice(line);
        } else {
            *overflowed += 1;
            self.dropped += 1;
        }
    }

    /// When half of the buffer is in use, the writer thread stops collecting: at full speed, 10 ms are enough to fill
    /// it.
    fn is_urgent(&self) -> bool {
        self.in_haste || self.closed || self.pending.len() >= CAPACITY / 2
    }
}

impl Backlog {
    /// Waits until all lines so far are written, or dropped because the destination failed. Returns false if that
    /// exceeds `deadline`.
    pub(super) fn flush(&self, deadline: Duration) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        let last = state.batches_taken + u64::from(!state.is_idle());
        state.in_haste = !state.is_idle();
        self.work.notify_one();
        while state.batches_settled < last {
            let Some(left) = deadline.checked_sub(start.elapsed()) else { return false };
            (state, _) = self.settled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Lines dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn push(&self, lane: Lane, line: &[u8]) {
        let mut state = self.lock();
        let (was_idle, was_urgent) = (state.is_idle(), state.is_urgent());
        state.push(lane, line);
        let wakes = was_idle || was_urgent != state.is_urgent();
        drop(state);
        if wakes {
            self.work.notify_one();
        }
    }

    /// Waits for lines and swaps them for the empty `batch`. Returns the number of lines dropped after them, or `None`
    /// at the end.
    fn take(&self, batch: &mut Vec<u8>) -> Option<Dropped> {
        let waits = |state: &mut State| state.is_idle() && !state.closed;
        let state = self.work.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        let gathers = |state: &mut State| !state.is_urgent();
        let gathered = self.work.wait_timeout_while(state, GATHER, gathers);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        if state.is_idle() {
            return None;
        }
        mem::swap(&mut state.pending, batch);
        state.in_haste = false;
        state.batches_taken += 1;
        Some(mem::take(&mut state.overflowed))
    }

    fn settle(&self, failed: u64) {
        let mut state = self.lock();
        state.batches_settled += 1;
        state.dropped += failed;
        drop(state);
        self.settled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
