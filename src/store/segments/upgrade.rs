//! The first start after an upgrade: the single file of former versions becomes the first segment, and its ids the state.
//!
//! The rows of messages stay where they are. Each step leaves a state from which the next start can go on:
//!
//! 1. The ids are copied into a new file, which becomes `state.db` as a whole.
//! 2. One transaction removes the ids from the old file, and marks it as a segment.
//! 3. Its write-ahead log is copied into it.
//! 4. It moves to the segments.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::warn;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::folder::Folder;
use super::open::Writing;
use super::sealer::{checkpoint, finish};
use super::segment::SCHEMA;
use crate::database::{
    self, Error, Options, SINGLE, SINGLE_FILE, STATE, Trouble, beside, make_folder, sync_folder,
};

/// What the server knows, and its unfinished file.
const STATE_FILE: &str = "state.db";
const UNFINISHED: &str = "state.tmp";

/// Ids that the state does not have.
const MISSING: &str =
    "SELECT (SELECT count(*) FROM (SELECT * FROM main.client EXCEPT SELECT * FROM state.client))";

const COPY: &str = "INSERT INTO state.client SELECT id, enabled, note, expires_at, created_at FROM main.client;
    INSERT INTO state.unknown_client SELECT id, peer, first_at, last_at, times, reason FROM main.unknown_client;";

/// The table `pruned` stays: an empty segment would not know its first id otherwise.
const CONVERT: &str = "DROP TABLE client; DROP TABLE unknown_client;";

const FIRST: &str = "SELECT coalesce((SELECT min(id) FROM message), (SELECT last_id + 1 FROM pruned))";

/// What an upgrade did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Upgraded {
    /// The first id of the segment that the old file has become.
    pub(super) first_id: i64,
    /// The last id in it, or the one before `first_id`.
    pub(super) last_id: i64,
}

/// Upgrades the folder `data`, if there is an old file in it. The caller has the lock of the folder.
pub(super) fn upgrade(data: &Path, writing: Writing) -> Result<Option<Upgraded>, Error> {
    let Some(old) = find(data)? else { return Ok(None) };
    let upgrade = Upgrade { data, old: &old, folder: Folder::of(data), writing };
    upgrade.run(&mut |_| true)
}

/// The old file without links; `None` if there is none.
fn find(data: &Path) -> Result<Option<PathBuf>, Error> {
    let path = data.join(SINGLE_FILE);
    match fs::canonicalize(&path) {
        Ok(old) => Ok(Some(old)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            let log = beside(&path, "-wal");
            if fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
                warn!(
                    target: super::TARGET,
                    "{} is there without {SINGLE_FILE}: it may have messages of a former version; put {SINGLE_FILE} back beside it and \
                     restart the server",
                    log.display()
                );
            }
            Ok(None)
        }
        Err(err) => Err(Error::unreadable(&path, &err)),
    }
}

struct Upgrade<'a> {
    data: &'a Path,
    old: &'a Path,
    folder: Folder,
    writing: Writing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    WriteState,
    PlaceState,
    Convert,
    Checkpoint,
    Move,
}

impl Upgrade<'_> {
    /// Ends before a step that `goes_on` refuses.
    fn run(&self, goes_on: &mut dyn FnMut(Step) -> bool) -> Result<Option<Upgraded>, Error> {
        let connection = self.connect()?;
        let sqlite = |err| Error::of(self.old, &err);
        let is_single = connection
            .pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0))
            .map_err(sqlite)?
            == SINGLE.application;
        let first_id: i64 = connection.query_row(FIRST, [], |row| row.get(0)).map_err(sqlite)?;
        let last_id: Option<i64> =
            connection.query_row("SELECT max(id) FROM message", [], |row| row.get(0)).map_err(sqlite)?;
        self.check_free(first_id)?;
        if is_single {
            if !goes_on(Step::WriteState) {
                return Ok(None);
            }
            let place = self.write_state(&connection)?;
            if !goes_on(Step::PlaceState) {
                return Ok(None);
            }
            self.place_state(place)?;
            if !goes_on(Step::Convert) {
                return Ok(None);
            }
            convert(connection, self.old)?;
        } else {
            drop(connection);
        }
        if !goes_on(Step::Checkpoint) {
            return Ok(None);
        }
        self.seal()?;
        if !goes_on(Step::Move) {
            return Ok(None);
        }
        self.move_to(&self.folder.segment(first_id))?;
        Ok(Some(Upgraded { first_id, last_id: last_id.unwrap_or(first_id - 1) }))
    }

    /// Opens the old file, whether it is converted already or not.
    fn connect(&self) -> Result<Connection, Error> {
        let Writing { lock_timeout, .. } = self.writing;
        let options = Options { path: self.old.into(), full: true, lock_timeout };
        match database::open_plain(&SINGLE, &options) {
            Err(err) if *err.trouble() == Trouble::NotOurs => database::open_plain(&SCHEMA, &options),
            opened => opened,
        }
    }

    /// Fails if there are segments of other messages already.
    fn check_free(&self, first_id: i64) -> Result<(), Error> {
        match self.folder.list()?.first() {
            Some(other) => Err(Error::new(self.old, Trouble::Twice { other: other.path.clone(), first_id })),
            None => Ok(()),
        }
    }

    /// Writes the ids into a new file. `None` if the state has them already.
    fn write_state(&self, old: &Connection) -> Result<Option<PathBuf>, Error> {
        let state = self.data.join(STATE_FILE);
        if state.exists() {
            return self.compare(old, &state).map(|()| None);
        }
        let unfinished = self.data.join(UNFINISHED);
        for ending in ["", "-journal"] {
            // What an interrupted start has left.
            let _ = fs::remove_file(beside(&unfinished, ending));
        }
        let options =
            Options { path: unfinished.clone(), full: true, lock_timeout: self.writing.lock_timeout };
        drop(database::open_plain(&STATE, &options)?);
        attached(old, &unfinished, |old| {
            let transaction = Transaction::new_unchecked(old, TransactionBehavior::Immediate)?;
            transaction.execute_batch(COPY)?;
            transaction.commit()
        })?;
        Ok(Some(unfinished))
    }

    /// Fails unless all ids of the old file are in the state.
    fn compare(&self, old: &Connection, state: &Path) -> Result<(), Error> {
        let missing: i64 = attached(old, state, |old| old.query_row(MISSING, [], |row| row.get(0)))?;
        match missing {
            0 => Ok(()),
            _ => Err(Error::new(self.old, Trouble::TwoStates { other: state.into() })),
        }
    }

    fn place_state(&self, unfinished: Option<PathBuf>) -> Result<(), Error> {
        let Some(unfinished) = unfinished else { return Ok(()) };
        let place = || {
            fs::File::open(&unfinished)?.sync_all()?;
            fs::rename(&unfinished, self.data.join(STATE_FILE))?;
            sync_folder(self.data)
        };
        place().map_err(|err| Error::unreadable(&unfinished, &err))
    }

    /// Removes the write-ahead log.
    fn seal(&self) -> Result<(), Error> {
        let Writing { lock_timeout, .. } = self.writing;
        let options = Options { path: self.old.into(), full: true, lock_timeout };
        let connection = database::open_plain(&SCHEMA, &options)?;
        checkpoint(&connection, self.old)
    }

    fn move_to(&self, place: &Path) -> Result<(), Error> {
        make_folder(self.folder.path()).map_err(|err| Error::folder(self.folder.path(), err))?;
        fs::rename(self.old, place).map_err(|err| Error::unreadable(place, &err))?;
        // If it was a link.
        let _ = fs::remove_file(self.data.join(SINGLE_FILE));
        finish(place)?;
        sync_folder(self.data).map_err(|err| Error::unreadable(self.data, &err))
    }
}

/// Does `work` with another file as the schema `state`.
fn attached<T>(
    connection: &Connection,
    other: &Path,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, Error> {
    let sqlite = |err| Error::of(other, &err);
    connection.execute("ATTACH ? AS state", [other.to_string_lossy()]).map_err(sqlite)?;
    let done = work(connection).map_err(sqlite)?;
    connection.execute_batch("DETACH state").map_err(sqlite)?;
    Ok(done)
}

/// Makes the old file a segment, in one transaction.
fn convert(mut connection: Connection, path: &Path) -> Result<(), Error> {
    let mut convert = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(CONVERT)?;
        transaction.pragma_update(None, "application_id", SCHEMA.application)?;
        transaction.pragma_update(None, "user_version", SCHEMA.version())?;
        transaction.commit()
    };
    convert().map_err(|err| Error::of(path, &err))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    const WRITING: Writing = Writing { full: true, lock_timeout: Duration::from_millis(50) };

    const STEPS: [Step; 5] =
        [Step::WriteState, Step::PlaceState, Step::Convert, Step::Checkpoint, Step::Move];

    /// A folder with an old file, as a server that was killed leaves it.
    fn old(sql: &str) -> TempDir {
        let data = tempfile::tempdir().unwrap();
        let options =
            Options { path: data.path().join(SINGLE_FILE), full: true, lock_timeout: WRITING.lock_timeout };
        let connection = database::open(&SINGLE, &options).unwrap();
        let no_checkpoint = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        connection.set_db_config(no_checkpoint, true).unwrap();
        connection.execute_batch(sql).unwrap();
        data
    }

    const ROWS: &str = "
        INSERT INTO client VALUES ('a', 1, 'note', NULL, 1), ('b', 0, '', 5, 2);
        INSERT INTO unknown_client VALUES ('c', '127.0.0.1:1', 1, 2, 3, 'unknown');
        UPDATE pruned SET last_id = 6;
        WITH RECURSIVE number(n) AS (SELECT 7 UNION ALL SELECT n + 1 FROM number WHERE n < 2006)
            INSERT INTO message SELECT n, n, 'a', '127.0.0.1:1', 'trap', 'session', zeroblob(100) FROM number";

    fn number(path: &Path, sql: &str) -> i64 {
        Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn assert_upgraded(data: &Path) {
        let segment = data.join("messages/00000000000000000007.db");
        assert_eq!(number(&segment, "SELECT count(*) FROM message WHERE id BETWEEN 7 AND 2006"), 2000);
        assert!(super::super::segment::is_sealed(&segment).unwrap());
        assert_eq!(number(&data.join(STATE_FILE), "SELECT count(*) FROM client"), 2);
        assert_eq!(number(&data.join(STATE_FILE), "SELECT sum(times) FROM unknown_client"), 3);
        let mut left: Vec<_> = fs::read_dir(data)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["messages", STATE_FILE]);
    }

    #[test]
    fn an_upgrade_that_is_interrupted_anywhere_goes_on_at_the_next_start() {
        for last in STEPS {
            let data = old(ROWS);
            let path = fs::canonicalize(data.path().join(SINGLE_FILE)).unwrap();
            let upgrade =
                Upgrade { data: data.path(), old: &path, folder: Folder::of(data.path()), writing: WRITING };
            assert_eq!(upgrade.run(&mut |step| step != last).unwrap(), None, "{last:?}");
            let upgraded = super::upgrade(data.path(), WRITING).unwrap();
            assert_eq!(upgraded, Some(Upgraded { first_id: 7, last_id: 2006 }), "{last:?}");
            assert_upgraded(data.path());
            assert_eq!(super::upgrade(data.path(), WRITING).unwrap(), None);
        }
    }

    #[test]
    fn a_file_without_messages_keeps_its_next_id() {
        let data = old("UPDATE pruned SET last_id = 41");
        let upgraded = upgrade(data.path(), WRITING).unwrap();
        assert_eq!(upgraded, Some(Upgraded { first_id: 42, last_id: 41 }));
        assert!(data.path().join("messages/00000000000000000042.db").exists());
    }

    #[test]
    fn a_link_leads_to_the_file() {
        let (data, elsewhere) = (tempfile::tempdir().unwrap(), old(ROWS));
        std::os::unix::fs::symlink(elsewhere.path().join(SINGLE_FILE), data.path().join(SINGLE_FILE))
            .unwrap();
        upgrade(data.path(), WRITING).unwrap();
        assert_upgraded(data.path());
    }

    /// Why an upgrade fails; nothing is changed then.
    fn refused(data: &Path) -> String {
        let before = fs::read(data.join(SINGLE_FILE)).unwrap();
        let refusal = upgrade(data, WRITING).unwrap_err().to_string();
        assert_eq!(fs::read(data.join(SINGLE_FILE)).unwrap(), before);
        refusal
    }

    #[test]
    fn what_cannot_be_upgraded_is_left_as_it_is() {
        let data = old(ROWS);
        let other = Connection::open(data.path().join(SINGLE_FILE)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(refused(data.path()).contains("locked by another program"));
        drop(other);

        fs::create_dir(data.path().join("messages")).unwrap();
        let segment = data.path().join("messages/00000000000000000001.db");
        fs::write(&segment, "").unwrap();
        let refusal = refused(data.path());
        assert!(refusal.contains(segment.to_str().unwrap()), "{refusal}");
        fs::remove_file(segment).unwrap();

        let options =
            Options { path: data.path().join(STATE_FILE), full: true, lock_timeout: WRITING.lock_timeout };
        drop(database::open(&STATE, &options).unwrap());
        assert!(refused(data.path()).contains("has ids that"), "{}", refused(data.path()));
        fs::remove_file(&options.path).unwrap();
        upgrade(data.path(), WRITING).unwrap();
        assert_upgraded(data.path());

        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join(SINGLE_FILE), "Dear diary, ".repeat(100)).unwrap();
        assert!(refused(data.path()).contains("not an SQLite database"));
    }
}
