//! The SQLite file from version to version: what an older server wrote is brought up to date and kept, and what is not ours
//! is refused and left as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use trap_server::database::{self, Options, SINGLE, STATE, Trouble};

/// As version 1 made it. This is history, and does not change with the server.
const VERSION_1: &str = "
    PRAGMA auto_vacuum = incremental;
    CREATE TABLE message (
        id INTEGER PRIMARY KEY,
        received_at INTEGER NOT NULL,
        client TEXT NOT NULL,
        peer TEXT NOT NULL,
        listener TEXT NOT NULL,
        mode TEXT NOT NULL,
        data BLOB NOT NULL
    ) STRICT;
    CREATE TABLE clock_step (first_id INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE pruned (last_id INTEGER NOT NULL) STRICT;
    INSERT INTO pruned VALUES (0);
    PRAGMA user_version = 1;
    PRAGMA application_id = 1953653104;
    PRAGMA journal_mode = wal;
    INSERT INTO message VALUES (1, 1000, 'a', '127.0.0.1:1', 'trap', 'session', x'00ff');
    INSERT INTO message VALUES (2, 2000, 'b', '127.0.0.1:2', 'trap', 'one-shot', x'');
    INSERT INTO clock_step VALUES (2);
";

/// A path in a folder of its own.
fn path() -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (folder.path().join("trap.db"), folder)
}

fn made_of(sql: &str) -> (PathBuf, TempDir) {
    let (path, folder) = path();
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (path, folder)
}

fn open(path: &Path) -> Result<Connection, database::Error> {
    database::open(&SINGLE, &Options { path: path.into(), full: true, lock_timeout: Duration::from_secs(30) })
}

fn refused(path: &Path) -> Trouble {
    open(path).map(drop).unwrap_err().trouble().clone()
}

fn number(connection: &Connection, sql: &str) -> i32 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The tables of this version, without what stands in them.
fn schema(connection: &Connection) -> Vec<(String, String)> {
    let mut schema =
        connection.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
    let rows = schema.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_file_of_version_1_gets_the_new_tables_and_keeps_its_messages() {
    let (path, _folder) = made_of(VERSION_1);
    assert_eq!(
        database::open_read_only(&SINGLE, &path).map(drop).unwrap_err().trouble(),
        &Trouble::Older { found: 1, required: SINGLE.version() },
        "a reader does not migrate"
    );
    let connection = open(&path).unwrap();
    assert_eq!(number(&connection, "PRAGMA user_version"), SINGLE.version());
    let mut messages = connection.prepare("SELECT id, client, data FROM message ORDER BY id").unwrap();
    let rows = messages.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let rows: Vec<(i64, String, Vec<u8>)> = rows.map(Result::unwrap).collect();
    assert_eq!(rows, [(1, "a".into(), vec![0, 255]), (2, "b".into(), vec![])]);
    assert_eq!(number(&connection, "SELECT first_id FROM clock_step"), 2);
    connection.execute("INSERT INTO client VALUES ('a', 1, '', NULL, 0)", []).unwrap();
    assert!(database::open_read_only(&SINGLE, &path).is_ok());
}

#[test]
fn a_migrated_file_and_a_new_one_have_the_same_tables() {
    let ((old, _old), (new, _new)) = (made_of(VERSION_1), path());
    let names = |path| schema(&open(path).unwrap()).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let (old, new) = (names(&old), names(&new));
    assert_eq!(old, new);
    assert!(["client", "unknown_client"].iter().all(|table| new.iter().any(|name| name == table)), "{new:?}");
}

/// As version 1 of the state made it. This is history, and does not change with the server.
const STATE_1: &str = "
    CREATE TABLE client (
        id TEXT PRIMARY KEY, enabled INTEGER NOT NULL, note TEXT NOT NULL, expires_at INTEGER,
        created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE unknown_client (
        id TEXT PRIMARY KEY, peer TEXT NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        times INTEGER NOT NULL, reason TEXT NOT NULL
    ) STRICT;
    CREATE INDEX unknown_client_last_at ON unknown_client (last_at);
    PRAGMA user_version = 1;
    PRAGMA application_id = 1953657716;
    INSERT INTO client VALUES ('a', 1, 'north', 5, 7);
    INSERT INTO unknown_client VALUES ('b', '127.0.0.1:1', 1, 2, 3, 'unknown');
";

#[test]
fn a_state_of_version_1_keeps_its_ids_which_may_come_from_everywhere() {
    let (path, _folder) = made_of(STATE_1);
    let options = Options { path, full: true, lock_timeout: Duration::from_secs(30) };
    let state = database::open(&STATE, &options).unwrap();
    assert_eq!(number(&state, "PRAGMA user_version"), STATE.version());
    let same = "SELECT count(*) FROM client WHERE id = 'a' AND enabled AND note = 'north' AND expires_at = 5
        AND created_at = 7 AND networks = ''";
    assert_eq!(number(&state, same), 1);
    assert_eq!(number(&state, "SELECT sum(times) FROM unknown_client"), 3);
}

#[test]
fn a_newer_file_is_refused_and_left_as_it_is() {
    let newer = SINGLE.version() + 1;
    let (path, _folder) =
        made_of(&format!("{VERSION_1} PRAGMA user_version = {newer}; PRAGMA journal_mode = delete;"));
    let before = fs::read(&path).unwrap();
    assert_eq!(refused(&path), Trouble::Newer { found: newer, supported: SINGLE.version() });
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    for sql in ["CREATE TABLE bookmark (url TEXT)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"]
        .map(String::from)
    {
        let (path, _folder) = made_of(&sql);
        let before = fs::read(&path).unwrap();
        assert_eq!(refused(&path), Trouble::NotOurs, "{sql}");
        assert_eq!(fs::read(&path).unwrap(), before, "{sql}");
    }
}

#[test]
fn a_file_that_is_not_a_database_is_rejected_and_not_changed() {
    let (path, _folder) = path();
    fs::write(&path, "Dear diary, ".repeat(100)).unwrap();
    assert_eq!(refused(&path), Trouble::NotADatabase);
    assert_eq!(fs::read_to_string(&path).unwrap(), "Dear diary, ".repeat(100));
}

#[test]
fn an_empty_file_is_filled_but_not_by_a_reader() {
    let (path, _folder) = path();
    fs::write(&path, "").unwrap();
    assert_eq!(
        database::open_read_only(&SINGLE, &path).map(drop).unwrap_err().trouble(),
        &Trouble::Older { found: 0, required: SINGLE.version() }
    );
    let connection = open(&path).unwrap();
    assert_eq!(number(&connection, "PRAGMA application_id"), SINGLE.application);
    assert_eq!(number(&connection, "SELECT count(*) FROM client"), 0);
}
