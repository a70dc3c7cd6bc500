//! A change of the state, and its answer.

use std::path::Path;

use rusqlite::{Connection, Transaction};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::database::{self, Error};

/// A change. Dropped without an answer, it has failed.
pub(super) struct Job {
    work: Box<dyn Work>,
    failed: Option<Error>,
    _place: OwnedSemaphorePermit,
}

impl database::Job for Job {}

impl Job {
    /// A job and its answer. The answer is `interrupted` if the work was never done.
    pub(super) fn new<T: Send + 'static>(
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        place: OwnedSemaphorePermit,
        interrupted: Error,
    ) -> (Self, oneshot::Receiver<Result<T, Error>>) {
        let (tell, answer) = oneshot::channel();
        let work = Box::new(Change { work: Some(work), done: Err(interrupted), tell });
        (Self { work, failed: None, _place: place }, answer)
    }

    /// Does the work as a part of the transaction. If it fails, it is undone alone, unless the whole transaction failed.
    pub(super) fn run(&mut self, transaction: &mut Transaction<'_>, path: &Path) -> rusqlite::Result<()> {
        let savepoint = transaction.savepoint()?;
        let Err(err) = self.work.run(&savepoint) else { return savepoint.commit() };
        drop(savepoint);
        // After some errors SQLite has undone all of it, and what followed would be no transaction.
        if transaction.is_autocommit() {
            return Err(err);
        }
        self.failed = Some(Error::of(path, &err));
        Ok(())
    }

    pub(super) fn answer(self, committed: Result<(), Error>) {
        self.work.answer(self.failed.map_or(committed, Err));
    }
}

/// The work of a job, whatever its value is.
trait Work: Send {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;

    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Change<F, T> {
    work: Option<F>,
    done: Result<T, Error>,
    tell: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> Work for Change<F, T>
where
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if let Some(work) = self.work.take() {
            self.done = Ok(work(connection)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        // The caller may have stopped waiting.
        let _ = self.tell.send(committed.and(self.done));
    }
}
