//! The state and its thread. As in a server, this process opens the file only once.

mod faults;

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::OptionalExtension;
use tempfile::TempDir;

use super::*;

/// The longest that a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A state with its thread, in a folder of its own.
struct Running {
    state: State,
    folder: TempDir,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut running = Self { state: open(&folder).unwrap(), folder, thread: None };
        running.run();
        running
    }

    fn run(&mut self) {
        let state = self.state.clone();
        self.thread = Some(std::thread::spawn(move || state.run()));
    }

    /// Waits for the end of the thread.
    fn end(&mut self) -> std::thread::Result<()> {
        self.thread.take().unwrap().join()
    }

    fn stop(&mut self) {
        self.state.finish();
        self.end().unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn add(&self, id: &'static str) {
        done(self.state.write(move |connection| add(connection, id))).unwrap();
    }

    fn has(&self, id: &str) -> bool {
        let found = self.state.read(|connection| {
            connection.query_row("SELECT 1 FROM client WHERE id = ?", [id], |_| Ok(())).optional()
        });
        found.is_ok_and(|found| found.is_some())
    }

    /// The ids in a file that no state has open.
    fn ids_in(&self, name: impl AsRef<Path>) -> Vec<String> {
        let connection = Connection::open(self.folder.path().join(name)).unwrap();
        let mut ids = connection.prepare("SELECT id FROM client ORDER BY id").unwrap();
        ids.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Why nothing can be read.
    fn trouble(&self) -> Option<Trouble> {
        self.state.read(|_| Ok(())).err().map(|err| err.trouble().clone())
    }

    /// It is mended, and everything works.
    fn assert_works(&mut self, ids: &[&str]) {
        eventually("it is mended", || ids.iter().all(|id| self.has(id)));
        self.add("last");
        self.stop();
        let expected: Vec<_> = ids.iter().copied().chain(["last"]).collect();
        assert_eq!(self.ids_in(STATE_FILE), expected);
    }
}

fn open(folder: &TempDir) -> Result<State, Error> {
    State::open(Arc::new(Lock::take(&folder.path().join("."))?), PATIENCE)
}

fn add(connection: &Connection, id: &str) -> rusqlite::Result<usize> {
    connection.execute("INSERT INTO client VALUES (?, 1, '', NULL, 0, '')", [id])
}

fn count(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM client", [], |row| row.get(0))
}

fn done<T>(writing: Writing<T>) -> Result<T, Error> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(writing)
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_written_change_is_read_and_stays() {
    let mut running = Running::start();
    running.add("a");
    assert!(running.has("a") && !running.has("b"));
    running.stop();
    assert!(!running.path("state.db-wal").exists(), "the log is in the file");
    let again = open(&running.folder).unwrap();
    assert!(again.read(|connection| connection.query_row("SELECT 1 FROM client", [], |_| Ok(()))).is_ok());
}

#[test]
fn a_second_state_does_not_get_the_folder() {
    let mut running = Running::start();
    let Err(err) = open(&running.folder) else { panic!("two have it") };
    assert!(matches!(err.trouble(), Trouble::InUse { .. }), "{err}");
    running.stop();
    assert!(open(&running.folder).is_ok(), "the folder is released, although the state is still there");
}

#[test]
fn jobs_that_wait_share_a_transaction_and_one_that_fails_fails_alone() {
    let mut running = Running::start();
    let (go, gone) = mpsc::channel();
    let first = running.state.write(move |_| Ok(gone.recv()));
    let jobs = ["a", "b", "a", "c"].map(|id| {
        let state = running.state.clone();
        running.state.write(move |connection| {
            connection.execute("UPDATE client SET note = note || ?", [id])?;
            add(connection, id)?;
            let committed = state.read(count);
            committed.map_err(|_| rusqlite::Error::InvalidQuery)
        })
    });
    go.send(()).unwrap();
    assert!(done(first).is_ok());
    let [a, b, again, c] = jobs.map(done);
    // Nothing was committed while they ran.
    assert_eq!([a, b, c].map(Result::unwrap), [0; 3]);
    assert!(matches!(again.unwrap_err().trouble(), Trouble::Failed { cause } if cause.contains("UNIQUE")));
    assert!(["a", "b", "c"].iter().all(|id| running.has(id)));
    let note = |connection: &Connection| {
        connection.query_row("SELECT note FROM client WHERE id = 'a'", [], |row| row.get::<_, String>(0))
    };
    assert_eq!(running.state.read(note).unwrap(), "bc", "all of the job that failed is undone");
    running.stop();
}

#[test]
fn a_panic_ends_its_transaction_and_the_next_thread_goes_on() {
    let mut running = Running::start();
    let (go, gone) = mpsc::channel::<()>();
    let first = running.state.write(move |_| Ok(gone.recv().is_ok()));
    let before = running.state.write(|connection| add(connection, "undone"));
    let panics: Writing<()> = running.state.write(|_| panic!("a fault of a job"));
    go.send(()).unwrap();
    // They may be in one transaction or in several.
    let _ = done(first);
    let before = done(before);
    assert_eq!(done(panics).unwrap_err().trouble(), &Trouble::Interrupted);
    running.end().unwrap_err();
    assert_eq!(before.is_ok(), running.has("undone"));
    let waits = running.state.write(|connection| add(connection, "later"));
    running.run();
    done(waits).unwrap();
    assert!(running.has("later"));
    running.stop();
}

#[test]
fn jobs_above_the_limit_are_rejected_immediately() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(&folder).unwrap();
    let waiting: Vec<_> = (0..MAX_WAITING).map(|_| state.write(|_| Ok(()))).collect();
    let err = done(state.write(|_| Ok(()))).unwrap_err();
    assert_eq!(err.trouble(), &Trouble::Overloaded { most: MAX_WAITING });
    assert!(err.to_string().contains("10000 changes wait"), "{err}");
    state.finish();
    state.run();
    assert!(waiting.into_iter().all(|waiting| done(waiting).is_ok()));
    assert_eq!(done(state.write(|_| Ok(()))).map_err(|err| err.trouble().clone()), Err(Trouble::Interrupted));
}
