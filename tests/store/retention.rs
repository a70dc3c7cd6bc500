//! Old messages go, by age and by size.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::eventually;
use crate::{open, rows, server};

const SECOND: i64 = 1_000_000;

/// Messages of a hundred bytes with ids up to `last`, all of this age in microseconds.
fn insert(folder: &Path, last: i64, age: i64) {
    let now: i64 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros().try_into().unwrap();
    let sql = "WITH RECURSIVE number(n) AS (
                   SELECT coalesce(max(id), 0) + 1 FROM message UNION ALL SELECT n + 1 FROM number WHERE n < ?1
               )
               INSERT INTO message SELECT n, ?2, 'old', '127.0.0.1:1', 'test', 'session', zeroblob(100) FROM number";
    open(folder).execute(sql, [last, now - age]).unwrap();
}

fn number(folder: &Path, sql: &str) -> i64 {
    open(folder).query_row(sql, [], |row| row.get(0)).unwrap()
}

const COUNT: &str = "SELECT count(*) FROM message";

#[tokio::test]
async fn messages_that_are_too_old_go_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    server("age", folder.path(), |_| {}).stop();
    insert(folder.path(), 50_000, 3601 * SECOND);
    insert(folder.path(), 60_000, 60 * SECOND);
    let server =
        server("age", folder.path(), |config| config.store.max_age = Some(Duration::from_secs(3600)));
    let mut device = server.authenticated("a").await;
    eventually("they have gone", || number(folder.path(), COUNT) <= 10_000).await;
    // More than one look later.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    device.send(b"new").await.unwrap();
    assert_eq!(number(folder.path(), COUNT), 10_001);
    assert_eq!(number(folder.path(), "SELECT min(id) FROM message"), 50_001);
    assert_eq!(number(folder.path(), "SELECT last_id FROM pruned"), 50_000);
}

#[tokio::test]
async fn a_file_stays_within_its_size_while_messages_come() {
    const MAX: u64 = 2 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trap.db");
    let server = server("size", folder.path(), |config| config.store.max_size = Some(MAX));
    let mut device = server.authenticated("a").await;
    for number in 0..600 {
        device.send(format!("{number:010000}").as_bytes()).await.unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size <= MAX, "{size} bytes after {number}");
    }
    // Six megabytes came, and the newest are there.
    let rows = rows(folder.path());
    assert!((100..250).contains(&rows.len()), "{} are left", rows.len());
    let numbers: Vec<usize> = rows.iter().map(|(_, data)| data.parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(600 - numbers.len()..600), "{numbers:?}");
}
