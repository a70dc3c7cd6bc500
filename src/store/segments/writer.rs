//! The writer thread: transactions, full segments, failures and recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::folder::{Folder, Segment};
use super::newest::{Begin, begin, open_newest};
use super::open::{Open, Writing};
use super::rescue::Remains;
use super::retention::{Keep, Retention};
use super::seal::Full;
use super::sealer::{Sealer, Task, Unsealed};
use super::segment;
use crate::config;
use crate::database::{Error, Jobs, Lock, Target, Timestamp, Trouble};
use crate::faults::{Faults, Point};
use crate::logging::Outage;
use crate::store::{Entrusted, NotStored, answer_all};

/// Interval of looks at the files, and of retries to open a segment.
const PAUSE: Duration = Duration::from_millis(500);

/// A stop seals the open segment if it is larger than this, in bytes: the next start would have to read its whole log.
const LARGE: u64 = 16 << 20;

/// A segment has at most this part of `max_size`.
const PARTS: u64 = 8;

/// What outlives a writer thread.
#[derive(Clone)]
pub(super) struct Known {
    /// No id below this one is given again, whatever happens to files.
    pub(super) next_id: Arc<AtomicI64>,
    pub(super) unsealed: Unsealed,
    pub(super) keep: Keep,
}

impl Known {
    pub(super) fn new(keep: Keep) -> Self {
        Self { next_id: Arc::new(AtomicI64::new(1)), unsealed: Unsealed::default(), keep }
    }
}

pub(super) struct Writer {
    settings: config::Store,
    lock: Arc<Lock>,
    folder: Folder,
    faults: Faults,
    next_id: Arc<AtomicI64>,
    /// The last id in the lock file.
    noted: i64,
    /// Whether an id was noted since the last look at the files.
    has_noted: bool,
    state: State,
    keep: Keep,
    retention: Retention,
    unsealed: Unsealed,
    sealer: Sealer,
    storing: Outage,
    rolling: Outage,
    removing: Outage,
}

enum State {
    Open(Open),
    /// Unusable for this reason; the next attempt is at this time.
    Shut(Error, Instant),
    /// To be opened now.
    Closed,
}

impl Writer {
    pub(super) fn new(
        settings: config::Store,
        lock: Arc<Lock>,
        known: &Known,
        open: Option<Open>,
        faults: Faults,
    ) -> Self {
        let Known { next_id, unsealed, keep } = known.clone();
        let folder = Folder::of(lock.folder());
        let retention = Retention::new(folder.clone(), unsealed.clone(), keep.clone(), Timestamp::now().0);
        let sealer = Sealer::start(folder.clone(), writing(&settings), unsealed.clone(), faults.clone());
        let path = folder.path().display();
        let storing = Outage::none(format!("the store {path}"));
        let rolling = Outage::none(format!("beginning the next segment in {path}"));
        let removing = Outage::none(format!("removing old segments from {path}"));
        next_id.fetch_max(open.as_ref().map_or(1, |open| open.last.id + 1), Ordering::Relaxed);
        let state = open.map_or(State::Closed, State::Open);
        Self {
            settings,
            lock,
            folder,
            faults,
            next_id,
            noted: 0,
            has_noted: false,
            state,
            keep,
            retention,
            unsealed,
            sealer,
            storing,
            rolling,
            removing,
        }
    }

    /// Opens the newest segment before there is anything to write.
    pub(super) fn start(&mut self) {
        self.seal_older();
        match self.open() {
            Ok(_) => info!(target: super::TARGET, "SENDs are stored in {}", self.folder.path().display()),
            Err(err) => self.refuse(&err, 0),
        }
    }

    fn refuse(&self, err: &Error, records: u64) {
        self.storing.note(err.trouble(), "SENDs are answered send_failure", records);
    }

    /// The open segment, which is opened if it is not.
    fn open(&mut self) -> Result<&mut Open, Error> {
        match &self.state {
            State::Shut(err, until) if Instant::now() < *until => return Err(err.clone()),
            State::Open(_) => {}
            State::Shut(..) | State::Closed => match self.find() {
                Ok(open) => self.state = State::Open(open),
                Err(err) => {
                    self.state = State::Shut(err.clone(), Instant::now() + PAUSE);
                    return Err(err);
                }
            },
        }
        match &mut self.state {
            State::Open(open) => Ok(open),
            State::Shut(err, _) => Err(err.clone()),
            State::Closed => Err(Error::new(self.folder.path(), Trouble::Moved)),
        }
    }

    /// Opens the newest segment, or begins one, and has the next one prepared.
    fn find(&self) -> Result<Open, Error> {
        let open = open_newest(&self.lock, self.next_id.load(Ordering::Relaxed), writing(&self.settings))?;
        self.next_id.fetch_max(open.last.id + 1, Ordering::Relaxed);
        self.sealer.send(Task::Prepare);
        Ok(open)
    }

    /// Has segments sealed that an earlier run has left open.
    fn seal_older(&self) {
        let mut older = self.folder.list().unwrap_or_default();
        older.pop();
        for Segment { path, .. } in older {
            if segment::is_writable(&path) && !self.unsealed.contains(&path) {
                self.sealer.send(Task::Seal(path, None));
            }
        }
        self.sealer.send(Task::Prepare);
    }

    /// Begins the next segment if the open one is full or old. If that fails, the open one grows.
    fn roll(&mut self) {
        let size = self.segment_size();
        let max_open = self.retention.max_open();
        let State::Open(open) = &mut self.state else { return };
        let age = open.first_at.map_or(0, |first| Timestamp::now().0.saturating_sub(first));
        if open.is_empty() || !(open.is_full(size) || max_open.is_some_and(|most| age > most)) {
            return;
        }
        let first_id = open.last.id + 1;
        match begin(&self.folder, first_id, writing(&self.settings)) {
            Ok(mut next) => {
                self.rolling.works();
                next.last.received_at = open.last.received_at;
                if let State::Open(full) = std::mem::replace(&mut self.state, State::Open(next)) {
                    let (connection, path) = full.into_parts();
                    self.sealer.send(Task::Seal(path, Some(connection)));
                }
                self.sealer.send(Task::Prepare);
            }
            Err(Begin::Nothing(err)) => self.rolling.note(&err, "the open segment grows", 0),
            // Two segments would give the same ids.
            Err(Begin::Half(err)) => self.state = State::Shut(err, Instant::now() + PAUSE),
        }
    }

    /// The size at which a segment is full, in bytes.
    fn segment_size(&self) -> u64 {
        let segment_size = self.settings.segment_size;
        self.keep.now().max_size.map_or(segment_size, |most| segment_size.min(most / PARTS))
    }

    /// Replaces the thread behind this one if it has panicked, and gives it what it has left.
    fn look_after_sealer(&mut self) {
        if self.sealer.has_ended() {
            warn!(target: super::TARGET, "the thread that seals segments ended: it is started again");
            let (folder, unsealed) = (self.folder.clone(), self.unsealed.clone());
            self.sealer = Sealer::start(folder, writing(&self.settings), unsealed, self.faults.clone());
            self.unsealed.forget();
            self.seal_older();
        }
    }

    /// Looks whether the open segment is still there.
    fn check(&mut self) {
        if !self.lock.folder_is_in_place() {
            if matches!(self.state, State::Open(_)) {
                self.state = State::Closed;
            }
            return;
        }
        let State::Open(open) = &mut self.state else { return };
        let Err(lost) = open.check() else { return };
        let (path, first_id, last_id) = (open.path.display(), open.first_id, open.last.id);
        error!(
            target: super::TARGET,
            "the open segment {path} is lost: {lost}; messages {first_id} to {last_id} are being saved, new ones go to a \
             new segment"
        );
        self.retention.forget(first_id);
        if let State::Open(open) = std::mem::replace(&mut self.state, State::Closed) {
            let file = open.file;
            let (connection, path) = open.into_parts();
            self.sealer.rescue(Remains { connection, path, file, first_id, last_id });
        }
        match begin(&self.folder, last_id + 1, writing(&self.settings)) {
            Ok(open) => self.state = State::Open(open),
            Err(Begin::Nothing(err) | Begin::Half(err)) => {
                self.state = State::Shut(err, Instant::now() + PAUSE);
            }
        }
        self.sealer.send(Task::Prepare);
    }

    /// Notes the last id. Without the note, a start would not find out that the newest files are missing.
    fn note(&mut self) {
        let last_id = self.next_id.load(Ordering::Relaxed) - 1;
        if last_id > self.noted && self.lock.note(last_id).is_ok() {
            self.noted = last_id;
        }
    }

    fn remove_old(&mut self) {
        let listed = self.sealer.take_list();
        let open_since = match &self.state {
            State::Open(open) => open.first_at,
            State::Shut(..) | State::Closed => return,
        };
        let step = |segments| self.retention.step(segments, Timestamp::now().0, open_since);
        match listed.map(|listed| listed.and_then(step)) {
            Some(Ok(())) => self.removing.works(),
            Some(Err(err)) => self.removing.note(&err, "the segments grow", 0),
            None => {}
        }
        if self.retention.is_due(Instant::now()) {
            self.sealer.ask_for_list();
        }
    }

    /// Seals the open segment at the end if it is large.
    fn close(&self, open: Open) {
        if open.is_large(LARGE) {
            let (connection, path) = open.into_parts();
            let mut full = Full::new(path, Some(connection));
            if let Err(err) = full.seal(writing(&self.settings), &|| {}) {
                info!(target: super::TARGET, "the open segment is not sealed: {err}; the next start reads all of it");
            }
        }
    }

    /// A full disk and a lock are temporary. After any other failure the segment is reopened, which gives more
    /// information.
    fn recover(&mut self, err: &Error) {
        let passes = matches!(err.trouble(), Trouble::Full | Trouble::Locked);
        if matches!(self.state, State::Open(_)) && !passes {
            self.state = State::Closed;
        }
    }
}

impl Target for Writer {
    type Job = Entrusted;

    fn commit(&mut self, jobs: &mut Jobs<'_, Entrusted>) -> Result<(), Error> {
        let faults = self.faults.clone();
        let committed = self.open().and_then(|open| {
            open.commit(jobs, || faults.trip(Point::Writer))?;
            Ok(open.last.id)
        });
        match committed {
            Ok(last) => {
                self.next_id.store(last + 1, Ordering::Relaxed);
                // The first one since the last look: the next look may be too late.
                if !std::mem::replace(&mut self.has_noted, true) {
                    self.note();
                }
            }
            Err(err) => {
                self.recover(&err);
                return Err(err);
            }
        }
        Ok(())
    }

    fn answer(&mut self, batches: Vec<Entrusted>, committed: Result<(), Error>) {
        let answer = match committed {
            Ok(()) => {
                self.storing.works();
                Ok(())
            }
            Err(err) => {
                self.refuse(&err, batches.iter().map(|one| one.batch.len() as u64).sum());
                Err(NotStored(err.to_string()))
            }
        };
        answer_all(batches, &answer);
        self.roll();
    }

    fn tick(&mut self) -> Duration {
        self.look_after_sealer();
        self.check();
        // Also when nothing is sent: a file that is gone is noticed, and one that comes back is used.
        match self.open() {
            Ok(_) => self.storing.works(),
            Err(err) => self.refuse(&err, 0),
        }
        self.roll();
        self.remove_old();
        self.note();
        self.has_noted = false;
        PAUSE
    }

    fn finish(&mut self) {
        // What happened to its files since the last look: nobody has them open after this.
        self.check();
        if let State::Open(open) = std::mem::replace(&mut self.state, State::Closed) {
            self.close(open);
        }
        self.sealer.finish();
    }
}

/// How segments are written.
pub(super) fn writing(settings: &config::Store) -> Writing {
    let full = settings.synchronous == config::Synchronous::Full;
    Writing { full, lock_timeout: settings.lock_timeout }
}
