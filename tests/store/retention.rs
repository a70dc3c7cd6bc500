//! Old segments go, by age and by size.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use crate::common::{TestServer, eventually, logs};
use crate::{rows, segments, server};

const HOUR: Duration = Duration::from_secs(3600);

async fn send(server: &TestServer, from: usize, to: usize) {
    let mut device = server.authenticated("a").await;
    for number in from..to {
        device.send(format!("{number:05000}").as_bytes()).await.unwrap();
    }
}

fn numbers(folder: &Path) -> Vec<usize> {
    rows(folder).iter().map(|(_, data)| data.parse().unwrap()).collect()
}

fn size(folder: &Path) -> u64 {
    let files = fs::read_dir(folder.join("messages")).unwrap();
    // A file may go between its name and its size.
    files.filter_map(|file| file.unwrap().metadata().ok()).map(|file| file.len()).sum()
}

/// Sets the times of all messages in a sealed segment, as if they were of that age.
fn age(segment: &Path, age: Duration) {
    let then = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - age;
    let connection = Connection::open(segment).unwrap();
    connection
        .execute("UPDATE message SET received_at = ?", [i64::try_from(then.as_micros()).unwrap()])
        .unwrap();
}

async fn sealed(folder: &Path, count: usize) {
    let log = |segment: &Path| Path::new(&format!("{}-wal", segment.display())).exists();
    eventually("they are sealed", || {
        let segments = segments(folder);
        segments.len() > count && segments.iter().take(count).all(|segment| !log(segment))
    })
    .await;
}

#[tokio::test]
async fn segments_that_are_too_old_go_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let first = server("age", folder.path(), |config| config.store.segment_size = 256 << 10);
    send(&first, 0, 200).await;
    sealed(folder.path(), 3).await;
    first.stop();
    let before = segments(folder.path());
    let old = before.len() - 3;
    before.iter().take(old).for_each(|segment| age(segment, 2 * HOUR));
    let all = numbers(folder.path());
    let server = server("age", folder.path(), |config| config.store.max_age = Some(HOUR));
    eventually("the old ones have gone", || !before[old - 1].exists()).await;
    // Each look logs what it has removed.
    let path = folder.path().to_str().unwrap();
    eventually("it is logged", || logs::has(&["removed segments=", "ids=1-", "reason=max_age"])).await;
    send(&server, 200, 201).await;
    let left = numbers(folder.path());
    assert!(all.ends_with(&left[..left.len() - 1]) && left.ends_with(&[200]), "{path}: {left:?}");
    assert_eq!(segments(folder.path())[..3], before[old..]);
}

#[tokio::test]
async fn the_segments_stay_within_their_size_while_messages_come() {
    const MAX: u64 = 2 << 20;
    let folder = tempfile::tempdir().unwrap();
    let server = server("size", folder.path(), |config| config.store.max_size = Some(MAX));
    for round in 0..40 {
        send(&server, 20 * round, 20 * (round + 1)).await;
    }
    // Four megabytes came. Two are there, the segment that is written, and one that is being sealed.
    eventually("the old ones have gone", || size(folder.path()) <= MAX + MAX / 4).await;
    let left = numbers(folder.path());
    assert!(left.len() > 200, "{} are left", left.len());
    assert!(left.iter().copied().eq(800 - left.len()..800), "{left:?}");
    assert!(logs::has(&["removed segments=", "reason=max_size"]));
}

#[tokio::test]
async fn a_segment_removed_by_another_program_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("missed", folder.path(), |config| {
        config.store.segment_size = 64 << 10;
        // With a limit, the folder is looked at often.
        config.store.max_size = Some(1 << 30);
    });
    send(&server, 0, 50).await;
    sealed(folder.path(), 2).await;
    let second = segments(folder.path()).remove(1);
    // Twice the interval.
    tokio::time::sleep(Duration::from_secs(2)).await;
    fs::remove_file(&second).unwrap();
    let second = second.display().to_string();
    eventually("it is missed", || logs::has(&["WARN", &second, "is no longer there", "messages "])).await;
    send(&server, 50, 51).await;
}
