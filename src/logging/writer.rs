//! A bounded buffer between the threads that log and the destination of the log. The destination may stall, those
//! threads never do: what does not fit is dropped, counted, and reported in the log itself.

mod outlet;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{mem, thread};

use super::lane::Lane;
use super::line::Line;
use outlet::Outlet;

/// The most bytes that wait for the writer thread: some ten thousand lines, seconds of a busy server's log. Another
/// buffer of this size is with the writer thread.
const CAPACITY: usize = 1 << 20;

/// Of that, what lines of sessions leave to the server's own: a thousand lines, hours of a server that nobody asks anything.
const RESERVED: usize = CAPACITY / 4;

/// How long the writer thread lets lines gather. A person does not see the delay, and a busy server pays at most a
/// hundred wake-ups and writes a second.
const GATHER: Duration = Duration::from_millis(10);

/// The end for the threads that log. Dropping it ends the writer thread as soon as that has written the rest.
pub(super) struct Writer {
    backlog: Arc<Backlog>,
}

impl Writer {
    /// Starts the thread that writes to `destination`; `line` is the look of the reports on dropped lines. Fails if
    /// there is no thread to be had.
    pub(super) fn open(destination: impl io::Write + Send + 'static, line: Line) -> io::Result<Self> {
        let backlog = Arc::new(Backlog::default());
        let outlet = Outlet::new(destination, line);
        let taken_from = Arc::clone(&backlog);
        thread::Builder::new().name("log".into()).spawn(move || outlet.run(&taken_from))?;
        Ok(Self { backlog })
    }

    /// Takes a line, which ends in a line break. Never waits.
    pub(super) fn write(&self, lane: Lane, line: &[u8]) {
        self.backlog.push(lane, line);
    }

    /// What waits to be written, to be asked and flushed from anywhere.
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

/// The lines that wait, and what became of the others.
pub(super) struct Backlog {
    state: Mutex<State>,
    /// There is something to write, or it is wanted at once.
    work: Condvar,
    /// A batch has been dealt with.
    settled: Condvar,
}

/// Lines that were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dropped {
    /// Of the server; of both if the destination failed.
    lines: u64,
    /// Of sessions, for want of room.
    of_sessions: u64,
}

struct State {
    /// Lines of both lanes, in their order.
    pending: Vec<u8>,
    /// What was dropped since the last batch was taken. Until the next one is taken all lines of that lane are, shorter
    /// ones too: so they are missing at one place of the log, where the report stands.
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

    /// With half of the buffer in use, the writer thread stops waiting: at full speed 10 ms are enough to fill it.
    fn is_urgent(&self) -> bool {
        self.in_haste || self.closed || self.pending.len() >= CAPACITY / 2
    }
}

impl Backlog {
    /// Waits until every line so far is written, or dropped because the destination failed. False if that takes
    /// longer than `deadline`.
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

    /// Waits for lines and swaps them for the empty `batch`. Tells how many were dropped behind them; nothing at the
    /// end.
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
