//! The thread that writes. Every second, and before each transaction, it looks whether the file is still in its place.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{error, warn};
use rusqlite::{Connection, TransactionBehavior};

use super::State;
use super::file::{File, Place};
use super::job::Job;
use super::mend::{Copy, is_unreadable, save};
use super::pool::Pool;
use crate::database::{Error, Jobs, Limits, Lock, Options, Room, Target, Trouble, beside, remove};
use crate::logging::Outage;

pub(super) const LIMITS: Limits =
    Limits { room: Room { rows: 1000, bytes: usize::MAX }, time: Duration::from_millis(5) };

/// Interval of the looks at the file, and of attempts to mend it.
const PAUSE: Duration = Duration::from_secs(1);

/// The write-ahead log is emptied every second. One of this size shows that this fails.
const LARGE_LOG: u64 = 64 << 20;

const CONSEQUENCE: &str = "cached ids are still accepted; others are rejected";

pub(super) struct Writer {
    /// Until the end.
    lock: Option<Arc<Lock>>,
    options: Options,
    pool: Arc<Pool>,
    file: Option<File>,
    /// The file was not opened yet: only then it is created if it is missing.
    is_new: bool,
    /// Why there is no file in its place, and the time of the next attempt.
    failed: Option<(Error, Instant)>,
    outage: Outage,
    emptying: Outage,
}

impl Writer {
    pub(super) fn new(lock: Arc<Lock>, lock_timeout: Duration, pool: Arc<Pool>) -> Result<Self, Error> {
        let path = State::file(lock.folder());
        let outage = Outage::none(format!("the state {}", path.display()));
        let emptying = Outage::none(format!("emptying {}-wal", path.display()));
        let options = Options { path, full: true, lock_timeout };
        let (file, failed) = (None, None);
        let lock = Some(lock);
        Ok(Self { lock, options, pool, file, is_new: true, failed, outage, emptying })
    }

    /// Looks whether the file is in its place, and mends it if not.
    fn look(&mut self) -> Result<(), Error> {
        match &self.failed {
            Some((err, next)) if Instant::now() < *next => return Err(err.clone()),
            Some(_) | None => {}
        }
        let mended = self.mend();
        match &mended {
            Ok(()) => self.outage.works(),
            Err(err) => self.fail(err),
        }
        mended
    }

    /// Reads and writes fail until the next attempt.
    pub(super) fn fail(&mut self, err: &Error) {
        self.pool.withdraw(err.clone());
        self.outage.note(err.trouble(), CONSEQUENCE, 0);
        self.failed = Some((err.clone(), Instant::now() + PAUSE));
    }

    pub(super) fn mend(&mut self) -> Result<(), Error> {
        self.check_folder()?;
        let Some(file) = &mut self.file else { return self.open() };
        let place = file.check(&self.options.path)?;
        if file.is_overwritten {
            return self.leave(place);
        }
        match place {
            Place::Kept if self.failed.is_none() => Ok(()),
            Place::Kept => self.open(),
            Place::Replaced => self.follow(),
            Place::Missing => self.rewrite("the file was moved or removed"),
            Place::CutShort => self.rewrite("the file was cut short"),
            Place::WithoutLog => self.rewrite("its -wal or -shm was removed"),
            Place::Overwritten => self.leave(place),
        }
    }

    /// Uses another file than the open one, which was overwritten. Until there is one, nothing is read or written.
    fn leave(&mut self, place: Place) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        // It belongs to the content that is gone.
        file.remove_log()?;
        match place {
            Place::Replaced => self.open(),
            Place::Missing => Err(Error::new(&self.options.path, Trouble::Missing)),
            _ => Err(Error::new(&self.options.path, Trouble::Overwritten)),
        }
    }

    /// The folder must be the one that was opened, and this server's.
    fn check_folder(&self) -> Result<(), Error> {
        let path = &self.options.path;
        let Some(lock) = &self.lock else { return Err(Error::new(path, Trouble::Interrupted)) };
        let folder = lock.folder();
        if !lock.folder_is_in_place() {
            return Err(Error::new(folder, Trouble::Moved));
        }
        if !lock.is_in_place() {
            lock.renew()?;
            warn!("{}: its lock file was removed, and is there again; do not remove it", folder.display());
        }
        Ok(())
    }

    /// Opens the file at the path, and closes the one that was open before.
    fn open(&mut self) -> Result<(), Error> {
        if let Some(before) = self.file.take() {
            before.abandon();
        }
        let (file, readers) = File::open(&self.options, self.is_new)?;
        self.pool.publish(readers);
        self.file = Some(file);
        (self.is_new, self.failed) = (false, None);
        Ok(())
    }

    /// Writes the file again, with the content that the open one has.
    fn rewrite(&mut self, what: &str) -> Result<(), Error> {
        let path = &self.options.path;
        let Some(file) = &self.file else { return Ok(()) };
        let copy = Copy::of(&file.connection, path).map_err(|err| lost(path, what, err))?;
        file.remove_log()?;
        ["-wal", "-shm"].iter().try_for_each(|ending| remove(&beside(path, ending)))?;
        copy.put(path)?;
        self.open()?;
        warn!(
            "{}: {what}; the server has written it again, with all that it contained. Stop the server before you \
             change its files",
            self.options.path.display()
        );
        Ok(())
    }

    /// Uses the file that was put in place of the open one, whose content is saved.
    fn follow(&mut self) -> Result<(), Error> {
        let path = &self.options.path;
        let Some(file) = &self.file else { return Ok(()) };
        match save(&file.connection, path) {
            Ok(saved) => warn!(
                "{}: another file was put in its place, and is used if it is valid; what the server had is saved as {}. \
                 If that was a mistake, stop the server and move the saved file back",
                path.display(),
                saved.display()
            ),
            Err(err) if is_unreadable(err.trouble()) => error!(
                "{}: another file was put in its place, and is used if it is valid; what the server had cannot be \
                 saved: {}",
                path.display(),
                err.trouble()
            ),
            Err(err) => return Err(err),
        }
        file.remove_log()?;
        self.open()
    }

    fn empty_log(&mut self) {
        let Some(file) = &self.file else { return };
        match file.empty_log(self.options.lock_timeout) {
            Ok(size) if size < LARGE_LOG => self.emptying.works(),
            Ok(_) => {
                let cause = "another program has a read transaction open; end it (`fuser FILE` shows which)";
                self.emptying.note(&cause, "it keeps growing", 0);
            }
            Err(err) => {
                let err = Error::of(&self.options.path, &err);
                self.emptying.note(err.trouble(), "it keeps growing", 0);
            }
        }
    }
}

/// The error of a file whose content cannot be read any more.
fn lost(path: &Path, what: &str, err: Error) -> Error {
    if is_unreadable(err.trouble()) {
        let cause = format!("{what}, and the server does not have its content any more");
        return Error::new(path, Trouble::Corrupt { cause, is_sealed: false });
    }
    err
}

impl Target for Writer {
    type Job = Job;

    fn commit(&mut self, jobs: &mut Jobs<'_, Job>) -> Result<(), Error> {
        self.look()?;
        let path = &self.options.path;
        let Some(file) = &mut self.file else { return Err(Error::new(path, Trouble::Interrupted)) };
        transaction(&mut file.connection, jobs, path).map_err(|err| Error::of(path, &err))
    }

    fn answer(&mut self, jobs: Vec<Job>, committed: Result<(), Error>) {
        jobs.into_iter().for_each(|job| job.answer(committed.clone()));
    }

    fn tick(&mut self) -> Duration {
        if self.look().is_ok() {
            self.empty_log();
        }
        PAUSE
    }

    fn finish(&mut self) {
        // What was answered is in a file that may have been moved.
        self.failed = None;
        let looked = self.look();
        // First, so that the writer's connection is the last one, which empties the log and removes it.
        self.pool.withdraw(Error::new(&self.options.path, Trouble::Interrupted));
        match self.file.take() {
            Some(file) if looked.is_err() => file.abandon(),
            Some(_) | None => {}
        }
        self.lock = None;
    }
}

/// Does all jobs, those that arrive meanwhile included.
fn transaction(connection: &mut Connection, jobs: &mut Jobs<'_, Job>, path: &Path) -> rusqlite::Result<()> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    loop {
        let more = jobs.more();
        if more.is_empty() {
            return transaction.commit();
        }
        more.iter_mut().try_for_each(|job| job.run(&mut transaction, path))?;
    }
}
