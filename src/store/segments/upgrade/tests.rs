//! Old files of every kind, and upgrades that fail.

mod kill;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use rusqlite::config::DbConfig;
use tempfile::TempDir;

use super::super::newest::{continue_after, prepare_folder};
use super::*;
use crate::database::STATE_FILE;

const WRITING: Writing = Writing { full: true, lock_timeout: Duration::from_millis(50) };

const STEPS: [Step; 6] =
    [Step::Seal, Step::WriteState, Step::PlaceState, Step::Convert, Step::Move, Step::RemoveLink];

const ROWS: &str = "
    INSERT INTO client VALUES ('a', 1, 'note', NULL, 1), ('b', 0, '', 5, 2);
    INSERT INTO unknown_client VALUES ('c', '127.0.0.1:1', 1, 2, 3, 'unknown');
    UPDATE pruned SET last_id = 6;
    INSERT INTO clock_step VALUES (9);
    WITH RECURSIVE number(n) AS (SELECT 7 UNION ALL SELECT n + 1 FROM number WHERE n < 2006)
        INSERT INTO message SELECT n, n, 'a', '127.0.0.1:1', 'trap', 'session', zeroblob(100) FROM number";

const UPGRADED: Upgraded = Upgraded { first_id: 7, last_id: 2006 };

/// A folder with an old file, as a server that was killed leaves it.
fn old(sql: &str) -> TempDir {
    let data = tempfile::tempdir().unwrap();
    make(&data.path().join(SINGLE_FILE), sql);
    data
}

fn make(path: &Path, sql: &str) {
    let options = Options { path: path.into(), full: false, lock_timeout: WRITING.lock_timeout };
    let connection = database::open(&SINGLE, &options).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    connection.execute_batch("PRAGMA wal_autocheckpoint = 0; BEGIN").unwrap();
    connection.execute_batch(sql).unwrap();
    connection.execute_batch("COMMIT").unwrap();
}

/// Runs an upgrade that fails before `last`.
fn upgrade_until(data: &Path, last: Step) -> Result<Upgraded, Error> {
    let old = find(data, &Folder::of(data))?.unwrap();
    let upgrade = Upgrade { data, old: &old, folder: Folder::of(data), writing: WRITING };
    upgrade.run(&mut |step| match step == last {
        true => Err(Error::new(data, Trouble::Full)),
        false => Ok(()),
    })
}

fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn assert_upgraded(data: &Path) {
    let segment = Folder::of(data).segment(7);
    assert_eq!(number(&segment, "SELECT count(*) FROM message WHERE id BETWEEN 7 AND 2006"), 2000);
    assert_eq!(number(&segment, "SELECT count(*) FROM message"), 2000);
    assert_eq!(number(&segment, "SELECT first_id FROM clock_step"), 9);
    assert!(super::super::segment::is_sealed(&segment).unwrap());
    assert_eq!(fs::metadata(&segment).unwrap().permissions().mode() & 0o777, 0o400);
    let state = data.join(STATE_FILE);
    assert_eq!(
        number(&state, "SELECT count(*) FROM client WHERE id = 'a' AND note = 'note' OR NOT enabled"),
        2
    );
    assert_eq!(number(&state, "SELECT sum(times) FROM unknown_client"), 3);
    assert_eq!(names(data), ["messages", STATE_FILE]);
    assert_eq!(names(Folder::of(data).path()), ["00000000000000000007.db"]);
    assert_eq!(upgrade(data, WRITING).unwrap(), None);
}

/// Why an upgrade fails, which changes nothing.
fn refused(data: &Path) -> String {
    let read = |name: &str| fs::read(data.join(name)).ok();
    let before = (read(SINGLE_FILE), read(STATE_FILE));
    let refusal = upgrade(data, WRITING).unwrap_err().to_string();
    assert!(before == (read(SINGLE_FILE), read(STATE_FILE)), "{refusal}");
    refusal
}

#[test]
fn an_upgrade_that_fails_at_any_step_goes_on_at_the_next_start() {
    for last in STEPS {
        let data = old(ROWS);
        upgrade_until(data.path(), last).unwrap_err();
        // The link is all that is left then, and there is none.
        let expected = (last != Step::RemoveLink).then_some(UPGRADED);
        assert_eq!(upgrade(data.path(), WRITING).unwrap(), expected, "{last:?}");
        assert_upgraded(data.path());
    }
}

#[test]
fn ids_may_be_changed_in_the_state_after_an_interrupted_upgrade() {
    let data = old(ROWS);
    upgrade_until(data.path(), Step::Convert).unwrap_err();
    let state = Connection::open(data.path().join(STATE_FILE)).unwrap();
    state
        .execute_batch("UPDATE client SET note = 'new'; INSERT INTO client VALUES ('d', 1, '', NULL, 1, '')")
        .unwrap();
    drop(state);
    assert_eq!(upgrade(data.path(), WRITING).unwrap(), Some(UPGRADED));
    assert_eq!(number(&data.path().join(STATE_FILE), "SELECT count(*) FROM client WHERE note = 'new'"), 2);
}

#[test]
fn a_file_without_messages_keeps_its_next_id() {
    for last in STEPS {
        let data = old("UPDATE pruned SET last_id = 41");
        let _ = upgrade_until(data.path(), last);
        upgrade(data.path(), WRITING).unwrap();
        let folder = Folder::of(data.path());
        let segments = prepare_folder(&folder, WRITING).unwrap();
        let open = continue_after(segments.last(), &folder, 1, WRITING).unwrap();
        assert_eq!((open.first_id, open.last.id), (42, 41), "{last:?}");
    }
}

#[test]
fn a_file_of_the_first_version_has_no_ids() {
    let data = old(ROWS);
    let without_ids = "DROP TABLE client; DROP TABLE unknown_client; PRAGMA user_version = 1";
    Connection::open(data.path().join(SINGLE_FILE)).unwrap().execute_batch(without_ids).unwrap();
    assert_eq!(upgrade(data.path(), WRITING).unwrap(), Some(UPGRADED));
    assert_eq!(number(&data.path().join(STATE_FILE), "SELECT count(*) FROM client"), 0);
}

#[test]
fn a_link_leads_to_the_file_and_is_removed() {
    for last in STEPS {
        let (data, elsewhere) = (tempfile::tempdir().unwrap(), old(ROWS));
        symlink(elsewhere.path().join(SINGLE_FILE), data.path().join(SINGLE_FILE)).unwrap();
        upgrade_until(data.path(), last).unwrap_err();
        upgrade(data.path(), WRITING).unwrap();
        assert_upgraded(data.path());
        assert_eq!(names(elsewhere.path()), [""; 0]);
    }
}

#[test]
fn with_a_link_to_a_missing_disk_no_store_begins_at_1() {
    let data = tempfile::tempdir().unwrap();
    symlink("/nowhere/trap.db", data.path().join(SINGLE_FILE)).unwrap();
    let refusal = refused(data.path());
    assert!(refusal.contains("a link to /nowhere/trap.db, which is missing"), "{refusal}");
    assert_eq!(names(data.path()), [SINGLE_FILE]);
}

#[test]
fn a_file_on_another_disk_is_not_copied() {
    let data = tempfile::tempdir().unwrap();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return eprintln!("skipped: no other disk") };
    let disk = |path: &Path| fs::metadata(path).unwrap().dev();
    if disk(data.path()) == disk(elsewhere.path()) {
        return eprintln!("skipped: no other disk");
    }
    make(&elsewhere.path().join(SINGLE_FILE), ROWS);
    symlink(elsewhere.path().join(SINGLE_FILE), data.path().join(SINGLE_FILE)).unwrap();
    let refusal = refused(data.path());
    assert!(refusal.contains("messages, which is on another disk"), "{refusal}");

    // As the refusal says.
    fs::remove_dir(Folder::of(data.path()).path()).unwrap();
    fs::create_dir(elsewhere.path().join("segments")).unwrap();
    symlink(elsewhere.path().join("segments"), Folder::of(data.path()).path()).unwrap();
    upgrade(data.path(), WRITING).unwrap();
    assert_upgraded(data.path());
}

#[test]
fn a_log_without_its_file_is_kept_and_named() {
    for is_empty in [false, true] {
        let data = old(ROWS);
        let [file, log] = ["", "-wal"].map(|ending| beside(&data.path().join(SINGLE_FILE), ending));
        let (kept, before) = (data.path().join("kept"), fs::read(&log).unwrap());
        fs::rename(&file, &kept).unwrap();
        if is_empty {
            fs::write(&file, "").unwrap();
        }
        let refusal = refused(data.path());
        assert!(refusal.contains("trap.db-wal: belongs to a file of a former version"), "{refusal}");
        assert!(fs::read(&log).unwrap() == before);

        // Once there are segments, it does not prevent storing.
        fs::create_dir(Folder::of(data.path()).path()).unwrap();
        fs::write(Folder::of(data.path()).segment(1), "").unwrap();
        assert_eq!(upgrade(data.path(), WRITING).unwrap(), None);
        assert!(fs::read(&log).unwrap() == before);

        fs::remove_dir_all(Folder::of(data.path()).path()).unwrap();
        fs::rename(&kept, &file).unwrap();
        upgrade(data.path(), WRITING).unwrap();
        assert_upgraded(data.path());
    }
}

#[test]
fn an_empty_file_is_none() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join(SINGLE_FILE), "").unwrap();
    assert_eq!(upgrade(data.path(), WRITING).unwrap(), None);
    assert_eq!(names(data.path()), [""; 0]);
}

#[test]
fn a_file_that_another_program_has_open_is_left_as_it_is() {
    let data = old(ROWS);
    let other = Connection::open(data.path().join(SINGLE_FILE)).unwrap();
    other.query_row("SELECT count(*) FROM message", [], |_| Ok(())).unwrap();
    let tables = |connection: &Connection| {
        let count = "SELECT count(*) FROM sqlite_schema, pragma_user_version, pragma_application_id";
        connection.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let before = tables(&other);
    let refusal = upgrade(data.path(), WRITING).unwrap_err().to_string();
    assert!(refusal.contains("locked by another program"), "{refusal}");
    assert_eq!(tables(&other), before);
    assert!(!data.path().join(STATE_FILE).exists());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(upgrade(data.path(), WRITING).unwrap_err().to_string().contains("locked by another program"));
    drop(other);
    upgrade(data.path(), WRITING).unwrap();
    assert_upgraded(data.path());
}

#[test]
fn segments_and_ids_of_another_store_are_not_mixed_with_those_of_the_file() {
    let data = old(ROWS);
    fs::create_dir(Folder::of(data.path()).path()).unwrap();
    let segment = Folder::of(data.path()).segment(1);
    fs::write(&segment, "").unwrap();
    // Only its log is copied into it, by this attempt.
    upgrade(data.path(), WRITING).unwrap_err();
    let refusal = refused(data.path());
    assert!(refusal.contains(segment.to_str().unwrap()), "{refusal}");
    fs::remove_file(segment).unwrap();

    let state =
        Options { path: data.path().join(STATE_FILE), full: true, lock_timeout: WRITING.lock_timeout };
    drop(database::open(&STATE, &state).unwrap());
    let refusal = refused(data.path());
    assert!(refusal.contains("has ids that"), "{refusal}");
    fs::remove_file(&state.path).unwrap();
    upgrade(data.path(), WRITING).unwrap();
    assert_upgraded(data.path());
}

#[test]
fn a_file_that_is_not_of_this_program_or_version_is_left_as_it_is() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join(SINGLE_FILE);
    fs::write(&path, "Dear diary, ".repeat(100)).unwrap();
    assert!(refused(data.path()).contains("not an SQLite database"));
    for (sql, why) in [
        ("CREATE TABLE bookmark (url TEXT)", "of another program"),
        ("PRAGMA application_id = 1953653096; PRAGMA user_version = 9", "of another program"),
        ("PRAGMA application_id = 1953653104; PRAGMA user_version = 9", "created by a newer trap-server"),
    ] {
        fs::remove_file(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let refusal = refused(data.path());
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[test]
fn a_damaged_file_is_left_as_it_is() {
    let data = old(ROWS);
    let path = data.path().join(SINGLE_FILE);
    drop(
        Connection::open(&path)
            .unwrap()
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = delete"),
    );
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..4096].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let refusal = refused(data.path());
    assert!(refusal.contains("damaged ("), "{refusal}");
}
