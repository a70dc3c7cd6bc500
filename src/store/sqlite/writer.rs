//! The writer thread: transactions, their failures, and recovery.

use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::file::File;
use super::options;
use super::queue::{Intake, Next, Room};
use super::retention::{Pace, Retention};
use super::rows::Last;
use crate::config;
use crate::database::{self, Error, Timestamp, Trouble};
use crate::faults::{Faults, Point};
use crate::logging::Outage;
use crate::store::{Entrusted, NotStored, answer_all};

/// Interval of retention checks, and of retries to open a file that could not be opened.
const PAUSE: Duration = Duration::from_secs(1);

/// SQLite normally copies the write-ahead log into the file after some megabytes. A log of this size shows that it
/// cannot.
const LARGE_LOG: u64 = 256 << 20;

pub(super) struct Writer {
    settings: config::Store,
    intake: Intake,
    faults: Faults,
    retention: Retention,
    file: State,
    storing: Outage,
    removing: Outage,
    copying: Outage,
}

enum State {
    Open(File),
    /// Unusable for this reason; the next attempt is at this time.
    Shut(Error, Instant),
    /// Not opened yet, or to be opened now.
    Closed,
}

impl Writer {
    pub(super) fn new(settings: config::Store, intake: Intake, faults: Faults) -> Self {
        let retention = Retention::new(settings.max_age, settings.max_size);
        let file = settings.file();
        let path = file.display();
        let storing = Outage::none(format!("the store {path}"));
        let removing = Outage::none(format!("removing old messages from {path}"));
        let copying = Outage::none(format!("emptying {path}-wal"));
        Self { settings, intake, faults, retention, file: State::Closed, storing, removing, copying }
    }

    /// Writes until the queue is closed.
    pub(super) fn run(mut self) {
        match self.open() {
            Ok(()) => self.say_where(),
            Err(err) => self.refuse(&err, 0),
        }
        let mut pause = PAUSE;
        loop {
            match self.intake.wait(pause) {
                Next::End => return,
                Next::Batches => self.store(),
                Next::Nothing => {}
            }
            self.look_at_log();
            pause = match self.remove_old() {
                Pace::Rest => PAUSE,
                Pace::GoOn => Duration::ZERO,
            };
        }
    }

    fn say_where(&self) {
        let path = &self.settings.file();
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        info!(target: "trap_server::store", "SENDs are stored in {}", absolute.display());
    }

    /// Writes the waiting batches in one transaction, and answers them.
    fn store(&mut self) {
        let mut taken = Vec::new();
        let stored = self.transaction(&mut taken);
        let records = taken.iter().map(|entrusted| entrusted.batch.len() as u64).sum();
        let answer = match stored {
            Ok(()) => {
                self.storing.works();
                self.retention.wrote(taken.iter().map(|entrusted| entrusted.batch.bytes()).sum());
                Ok(())
            }
            Err(err) => {
                self.refuse(&err, records);
                Err(NotStored(err.to_string()))
            }
        };
        answer_all(taken, &answer);
    }

    fn refuse(&self, err: &Error, records: u64) {
        self.storing.note(err.trouble(), "SENDs are answered send_failure", records);
    }

    /// All batches in `taken` share the result of the transaction. If none could be begun, these are all waiting
    /// batches.
    fn transaction(&mut self, taken: &mut Vec<Entrusted>) -> Result<(), Error> {
        let written = self.write(taken);
        if let Err(err) = &written {
            if taken.is_empty() {
                let mut room = Room::UNLIMITED;
                self.intake.take(taken, &mut room);
            }
            self.recover(err);
        }
        written
    }

    fn write(&mut self, taken: &mut Vec<Entrusted>) -> Result<(), Error> {
        self.open()?;
        let State::Open(file) = &mut self.file else { return Ok(()) };
        let until = Instant::now() + self.settings.batch_time;
        let mut room = Room { records: self.settings.batch_records, bytes: self.settings.batch_bytes };
        let written = file.transaction(|connection| {
            let mut last = Last::read(connection)?;
            loop {
                let from = taken.len();
                let any = self.intake.take(taken, &mut room);
                for entrusted in taken.iter().skip(from) {
                    last.insert(connection, entrusted)?;
                }
                if !any || !room.is_some() || Instant::now() >= until {
                    break;
                }
            }
            self.faults.trip(Point::Writer);
            Ok(())
        });
        written.map_err(|err| Error::of(&self.settings.file(), &err))
    }

    /// Opens the file if it is not open, or if the open file is no longer the one at its path.
    fn open(&mut self) -> Result<(), Error> {
        match &mut self.file {
            State::Open(file) => {
                if file.is_in_place() {
                    return Ok(());
                }
                self.abandon();
            }
            State::Shut(err, until) if Instant::now() < *until => return Err(err.clone()),
            State::Shut(..) | State::Closed => {}
        }
        let path = &self.settings.file();
        match database::open(&database::SINGLE, &options(&self.settings)) {
            Ok(connection) => {
                self.file = State::Open(File::new(connection, path.clone()));
                Ok(())
            }
            Err(err) => {
                self.file = State::Shut(err.clone(), Instant::now() + PAUSE);
                Err(err)
            }
        }
    }

    fn abandon(&mut self) {
        let file = self.settings.file();
        let path = file.display();
        warn!("{path}: the file was moved, removed or truncated: reopening the file");
        if let State::Open(file) = std::mem::replace(&mut self.file, State::Closed)
            && let Err(err) = file.abandon()
        {
            error!("{path}: messages in the write-ahead log of the moved file are lost: {err}");
        }
    }

    /// A full disk and a lock are temporary. After any other failure the file is reopened, which gives more
    /// information.
    fn recover(&mut self, err: &Error) {
        let passes = matches!(err.trouble(), Trouble::Full | Trouble::Locked);
        if matches!(self.file, State::Open(_)) && !passes {
            self.file = State::Closed;
        }
    }

    /// A reader that never ends prevents a reset of the log.
    fn look_at_log(&self) {
        match &self.file {
            State::Open(file) if file.log_size >= LARGE_LOG => {
                let cause = "another program has a read transaction open; end it (`fuser FILE` shows which)";
                self.copying.note(&cause, "it keeps growing", 0);
            }
            _ => self.copying.works(),
        }
    }

    /// Removes some messages that are too old or exceed the size limit.
    fn remove_old(&mut self) -> Pace {
        let State::Open(file) = &mut self.file else { return Pace::Rest };
        match self.retention.step(&mut file.connection, Timestamp::now().0) {
            Ok(pace) => {
                self.removing.works();
                pace
            }
            Err(err) => {
                let err = Error::of(&self.settings.file(), &err);
                self.removing.note(err.trouble(), "the file grows", 0);
                Pace::Rest
            }
        }
    }
}
