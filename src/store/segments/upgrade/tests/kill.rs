//! An upgrade in a process of its own, which is killed.

use std::env;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use super::*;
use crate::database::STATE_FILE;

/// The folder for the process that is killed, and the step before which it ends, by its number.
const DATA: &str = "TRAP_UPGRADE_DATA";
const UNTIL: &str = "TRAP_UPGRADE_UNTIL";

const COUNT: i64 = 200_000;

/// How often it is killed at some moment.
const ROUNDS: u32 = 20;

/// A folder with an old file of many rows, half of them in its write-ahead log.
fn large() -> TempDir {
    let row =
        "INSERT INTO message SELECT n, n, 'a', '127.0.0.1:1', 'trap', 'session', zeroblob(20) FROM number";
    let half = |from: i64, to: i64| {
        format!(
            "WITH RECURSIVE number(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM number WHERE n < {to}) {row}"
        )
    };
    let data = old(&half(1, COUNT / 2));
    let path = data.path().join(SINGLE_FILE);
    Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    make(&path, &half(COUNT / 2 + 1, COUNT));
    let ids = "INSERT INTO client SELECT id, 1, '', NULL, 0 FROM message WHERE id <= 1000;
        INSERT INTO unknown_client SELECT id, '', 1, 2, 1, '' FROM message WHERE id <= 1000";
    make(&path, ids);
    data
}

/// The same folder again.
fn copy(of: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for ending in ["", "-wal"] {
        fs::copy(beside(&of.join(SINGLE_FILE), ending), beside(&copy.path().join(SINGLE_FILE), ending))
            .unwrap();
    }
    copy
}

/// This test in another process.
fn process(data: &Path, until: Option<usize>) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "store::segments::upgrade::tests::kill::this_process_is_killed"]);
    command.env(DATA, data).env(UNTIL, until.map_or_else(String::new, |until| until.to_string()));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn this_process_is_killed() {
    let Some(data) = env::var_os(DATA) else { return };
    let until = env::var(UNTIL).unwrap().parse().ok().map(|until: usize| STEPS[until]);
    let data = Path::new(&data);
    let old = find(data, &Folder::of(data)).unwrap().unwrap();
    let upgrade = Upgrade { data, old: &old, folder: Folder::of(data), writing: WRITING };
    let ends = |step| if until == Some(step) { std::process::abort() } else { Ok(()) };
    upgrade.run(&mut { ends }).unwrap();
}

/// Goes on after a kill, and looks for each row.
fn assert_whole(data: &Path, when: &str) {
    upgrade(data, WRITING).unwrap();
    let (segment, state) = (Folder::of(data).segment(1), data.join(STATE_FILE));
    assert_eq!(number(&segment, "SELECT count(*) FROM message"), COUNT, "{when}");
    assert_eq!(number(&segment, "SELECT sum(id) FROM message"), COUNT * (COUNT + 1) / 2, "{when}");
    assert!(super::super::super::segment::is_sealed(&segment).unwrap(), "{when}");
    assert_eq!(
        number(&segment, "SELECT count(*) FROM pragma_quick_check WHERE quick_check = 'ok'"),
        1,
        "{when}"
    );
    for table in ["client", "unknown_client"] {
        assert_eq!(number(&state, &format!("SELECT count(*) FROM {table}")), 1000, "{when}");
    }
    assert_eq!(names(data), ["messages", STATE_FILE], "{when}");
    assert_eq!(names(Folder::of(data).path()), ["00000000000000000001.db"], "{when}");
}

#[test]
fn an_upgrade_that_is_killed_before_any_step_goes_on_at_the_next_start() {
    let large = large();
    for (until, step) in STEPS.iter().enumerate() {
        let data = copy(large.path());
        assert!(!process(data.path(), Some(until)).status().unwrap().success());
        assert_whole(data.path(), &format!("{step:?}"));
    }
}

#[test]
fn an_upgrade_that_is_killed_at_any_moment_goes_on_at_the_next_start() {
    let large = large();
    let whole = copy(large.path());
    let start = Instant::now();
    assert!(process(whole.path(), None).status().unwrap().success());
    let takes = start.elapsed();
    assert_whole(whole.path(), "not killed");
    for round in 0..ROUNDS {
        let data = copy(large.path());
        let mut child = process(data.path(), None).spawn().unwrap();
        thread::sleep(takes * round / ROUNDS);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_whole(data.path(), &format!("round {round}"));
    }
}
