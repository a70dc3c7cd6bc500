//! Old messages go, by age and by size.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::eventually;
use crate::{open, rows, server};

/// So many messages of a hundred bytes, one every millisecond, the last of them now.
fn insert(folder: &Path, count: i64) {
    let now: i64 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros().try_into().unwrap();
    let sql = "WITH RECURSIVE number(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM number WHERE n < ?1)
               INSERT INTO message SELECT n, ?2 - (?1 - n) * 1000, 'old', '127.0.0.1:1', 'test', 'session', zeroblob(100)
               FROM number";
    open(folder).execute(sql, [count, now]).unwrap();
}

fn number(folder: &Path, sql: &str) -> i64 {
    open(folder).query_row(sql, [], |row| row.get(0)).unwrap()
}

const COUNT: &str = "SELECT count(*) FROM message";

#[tokio::test]
async fn messages_that_are_too_old_go_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    server("age", folder.path(), |_| {}).stop();
    // The oldest is 200 seconds old, the limit a minute.
    insert(folder.path(), 200_000);
    let server = server("age", folder.path(), |config| config.uplink.max_age = Some(Duration::from_secs(60)));
    let mut device = server.authenticated("a").await;
    eventually("they have gone", || number(folder.path(), COUNT) <= 60_000).await;
    device.send(b"new").await.unwrap();
    let left = number(folder.path(), COUNT);
    assert!(left > 20_000, "only {left} are left");
    let oldest = number(folder.path(), "SELECT min(id) FROM message");
    assert_eq!(number(folder.path(), "SELECT last_id FROM pruned"), oldest - 1);
    assert_eq!(left, 200_001 - (oldest - 1));
}

#[tokio::test]
async fn a_file_stays_within_its_size_while_messages_come() {
    const MAX: u64 = 2 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trap.db");
    let server = server("size", folder.path(), |config| config.uplink.max_size = Some(MAX));
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

#[tokio::test]
async fn a_million_rows_over_the_limit_go_in_the_background_and_the_file_shrinks() {
    const MAX: u64 = 8 << 20;
    let folder = tempfile::tempdir().unwrap();
    server("shrink", folder.path(), |_| {}).stop();
    insert(folder.path(), 1_000_000);
    let path = folder.path().join("trap.db");
    let server = server("shrink", folder.path(), |config| config.uplink.max_size = Some(MAX));
    let mut device = server.authenticated("a").await;
    // Each is answered while the old ones go.
    let mut sent = 0;
    while std::fs::metadata(&path).unwrap().len() > MAX {
        device.send(b"meanwhile").await.unwrap();
        sent += 1;
    }
    assert!(sent > 10, "{sent}");
    let new = number(folder.path(), "SELECT count(*) FROM message WHERE client = 'a'");
    assert_eq!(new, sent);
    assert!(number(folder.path(), COUNT) > 20_000);
}
