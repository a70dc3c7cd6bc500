//! A thread that writes a file: jobs that arrive during a transaction are written by the next one (group commit).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Error;
use super::queue::{Intake, Job, Jobs, Next, Queue, Room};

/// What a writer thread writes, and how.
pub trait Target {
    /// What is written.
    type Job: Job;

    /// Writes jobs as one transaction: all of them, or nothing if it fails. If it fails before it asked for jobs, all
    /// waiting ones share the error.
    fn commit(&mut self, jobs: &mut Jobs<'_, Self::Job>) -> Result<(), Error>;

    /// Answers the jobs of a transaction.
    fn answer(&mut self, jobs: Vec<Self::Job>, committed: Result<(), Error>);

    /// Does what is to be done between transactions. Returns the maximum time until it must be called again.
    fn tick(&mut self) -> Duration;

    /// The queue is closed, and all of its jobs are answered.
    fn finish(&mut self) {}
}

/// The limits of one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows and bytes; the last job may exceed them.
    pub room: Room,
    /// Time to collect jobs.
    pub time: Duration,
}

/// Writes to `target` until the queue is closed, or another thread has taken it over.
pub fn write<T: Target>(target: &mut T, queue: &Arc<Queue<T::Job>>, limits: Limits) {
    let intake = queue.open();
    let mut tick_at = Instant::now();
    loop {
        let pause = tick_at.saturating_duration_since(Instant::now());
        match intake.wait(pause) {
            Next::End => return target.finish(),
            Next::Jobs => transaction(target, &intake, limits),
            Next::Nothing => {}
        }
        if Instant::now() >= tick_at {
            tick_at = Instant::now() + target.tick();
        }
    }
}

fn transaction<T: Target>(target: &mut T, intake: &Intake<T::Job>, limits: Limits) {
    let mut jobs = Jobs::new(intake, limits.room, limits.time);
    let committed = target.commit(&mut jobs);
    let mut taken = jobs.into_taken();
    if taken.is_empty() && committed.is_err() {
        taken = intake.take_all();
    }
    target.answer(taken, committed);
}
