//! The queue of jobs for a writer thread. It has no bound of its own: jobs hold the budget of their senders.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Something to be written. If it is dropped without an answer, it counts as not written.
pub trait Job: Send + 'static {
    /// Number of rows.
    fn rows(&self) -> usize {
        1
    }

    /// Bytes of data.
    fn bytes(&self) -> usize {
        0
    }
}

/// Jobs that are not taken yet, oldest first.
pub struct Queue<J> {
    waiting: Mutex<Waiting<J>>,
    news: Condvar,
}

struct Waiting<J> {
    jobs: VecDeque<J>,
    /// The thread sleeps; waking it costs a system call.
    is_awaited: bool,
    is_closed: bool,
    /// The number of threads so far.
    intakes: u64,
}

impl<J> Default for Queue<J> {
    fn default() -> Self {
        let waiting = Waiting { jobs: VecDeque::new(), is_awaited: false, is_closed: false, intakes: 0 };
        Self { waiting: Mutex::new(waiting), news: Condvar::new() }
    }
}

impl<J: Job> Queue<J> {
    /// Adds a job.
    pub fn push(&self, job: J) {
        self.extend(|jobs| jobs.push_back(job));
    }

    /// Adds jobs at its end, under the queue's lock. `add` must not block. Jobs for a closed queue are dropped.
    pub fn extend(&self, add: impl FnOnce(&mut VecDeque<J>)) {
        let mut waiting = self.waiting();
        let before = waiting.jobs.len();
        add(&mut waiting.jobs);
        if waiting.is_closed {
            let late = waiting.jobs.split_off(before);
            drop(waiting);
            return drop(late);
        }
        if !waiting.jobs.is_empty() && std::mem::take(&mut waiting.is_awaited) {
            drop(waiting);
            self.news.notify_all();
        }
    }

    /// Closes the queue: no more jobs follow.
    pub fn close(&self) {
        self.waiting().is_closed = true;
        self.news.notify_all();
    }

    /// The receiving end for a new thread. The earlier receiver gets no more jobs.
    pub fn open(self: &Arc<Self>) -> Intake<J> {
        let mut waiting = self.waiting();
        waiting.intakes += 1;
        self.news.notify_all();
        Intake { queue: Arc::clone(self), number: waiting.intakes }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiving end of the queue.
pub struct Intake<J> {
    queue: Arc<Queue<J>>,
    number: u64,
}

/// The result of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Jobs have arrived.
    Jobs,
    /// The wait timed out.
    Nothing,
    /// No more jobs will arrive.
    End,
}

impl<J: Job> Intake<J> {
    /// Waits for jobs, with a timeout.
    pub fn wait(&self, within: Duration) -> Next {
        let mut waiting = self.queue.waiting();
        if self.next(&waiting) == Next::Nothing {
            waiting.is_awaited = true;
            let woken = self.queue.news.wait_timeout(waiting, within);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.next(&waiting)
    }

    fn next(&self, waiting: &Waiting<J>) -> Next {
        match waiting {
            _ if self.number != waiting.intakes => Next::End,
            waiting if !waiting.jobs.is_empty() => Next::Jobs,
            waiting if waiting.is_closed => Next::End,
            _ => Next::Nothing,
        }
    }

    /// Takes all jobs.
    pub fn take_all(&self) -> Vec<J> {
        let mut taken = Vec::new();
        self.take(&mut taken, &mut Room { rows: usize::MAX, bytes: usize::MAX });
        taken
    }

    /// Appends waiting jobs to `taken` while there is `room`, and reduces `room` by their size.
    fn take(&self, taken: &mut Vec<J>, room: &mut Room) {
        let mut waiting = self.queue.waiting();
        while self.next(&waiting) == Next::Jobs && room.is_some() {
            let oldest = waiting.jobs.pop_front();
            oldest.iter().for_each(|job| room.shrink(job));
            taken.extend(oldest);
        }
    }
}

/// Remaining capacity of a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Rows.
    pub rows: usize,
    /// Bytes of data.
    pub bytes: usize,
}

impl Room {
    /// Whether any room is left. The last job may exceed it.
    const fn is_some(self) -> bool {
        self.rows > 0 && self.bytes > 0
    }

    fn shrink(&mut self, by: &impl Job) {
        self.rows = self.rows.saturating_sub(by.rows());
        self.bytes = self.bytes.saturating_sub(by.bytes());
    }
}

/// The jobs of one transaction, while they are collected.
pub struct Jobs<'a, J> {
    intake: &'a Intake<J>,
    taken: Vec<J>,
    room: Room,
    until: Instant,
    is_complete: bool,
}

impl<'a, J: Job> Jobs<'a, J> {
    /// Collects from `intake` for at most `time`.
    pub fn new(intake: &'a Intake<J>, room: Room, time: Duration) -> Self {
        Self { intake, taken: Vec::new(), room, until: Instant::now() + time, is_complete: false }
    }

    /// The next jobs, which have arrived since; empty at the end of the transaction.
    pub fn more(&mut self) -> &mut [J] {
        let from = self.taken.len();
        if !self.is_complete {
            self.intake.take(&mut self.taken, &mut self.room);
            self.is_complete = !self.room.is_some() || Instant::now() >= self.until;
        }
        self.taken.get_mut(from..).unwrap_or_default()
    }

    /// All jobs so far.
    pub fn into_taken(self) -> Vec<J> {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rows(usize);

    impl Job for Rows {
        fn rows(&self) -> usize {
            self.0
        }

        fn bytes(&self) -> usize {
            5 * self.0
        }
    }

    fn sizes(taken: &[Rows]) -> Vec<usize> {
        taken.iter().map(|job| job.0).collect()
    }

    #[test]
    fn jobs_are_taken_whole_in_order_and_as_long_as_there_is_room() {
        let queue = Arc::new(Queue::default());
        let intake = queue.open();
        [1, 2, 3, 4].into_iter().for_each(|rows| queue.push(Rows(rows)));
        let collect = |rows, bytes| Jobs::new(&intake, Room { rows, bytes }, Duration::MAX / 4);
        let mut jobs = collect(2, usize::MAX);
        assert_eq!((sizes(jobs.more()), sizes(jobs.more())), (vec![1, 2], vec![]));
        let mut jobs = collect(usize::MAX, 15);
        assert_eq!((sizes(jobs.more()), sizes(jobs.more())), (vec![3], vec![]));
        let mut jobs = collect(usize::MAX, usize::MAX);
        assert_eq!(sizes(jobs.more()), [4]);
        queue.push(Rows(5));
        assert_eq!((sizes(jobs.more()), sizes(jobs.more())), (vec![5], vec![]));
        assert_eq!(sizes(&jobs.into_taken()), [4, 5]);
    }

    #[test]
    fn waiting_jobs_are_taken_before_the_end_and_only_by_the_newest_thread() {
        let queue = Arc::new(Queue::default());
        let first = queue.open();
        queue.push(Rows(1));
        assert_eq!(first.wait(Duration::ZERO), Next::Jobs);
        let second = queue.open();
        assert_eq!(first.wait(Duration::MAX), Next::End);
        assert!(first.take_all().is_empty());
        queue.close();
        assert_eq!(second.wait(Duration::MAX), Next::Jobs);
        assert_eq!(sizes(&second.take_all()), [1]);
        assert_eq!(second.wait(Duration::MAX), Next::End);
    }

    #[test]
    fn a_thread_that_waits_is_woken() {
        let queue = Arc::new(Queue::default());
        let intake = queue.open();
        assert_eq!(intake.wait(Duration::ZERO), Next::Nothing);
        let waiting = std::thread::spawn(move || intake.wait(Duration::from_secs(60)));
        queue.push(Rows(1));
        assert_eq!(waiting.join().unwrap(), Next::Jobs);
    }
}
