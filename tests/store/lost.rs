//! Files that are moved, removed, replaced or cut short while the server writes to them: nothing that was acknowledged is
//! lost, unless it was destroyed, and the log says what happened.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use trap_server::store::segments::segment;

use crate::child::{CONFIG, Server, command};
use crate::common::raw::{auth, send};
use crate::common::{TestServer, eventually, logs};
use crate::file::recovers;
use crate::{pair, rows, rows_of, segments, server};

const BEFORE: usize = 50;

/// Messages of 500 bytes, more than SQLite keeps in memory.
const LARGE: usize = 20_000;

/// What happens to the files of the open segment.
type Accident = fn(&Path);

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

fn cut(path: &Path, to: u64) {
    File::options().write(true).open(path).unwrap().set_len(to).unwrap();
}

fn data(folder: &Path) -> Vec<String> {
    rows(folder).into_iter().map(|(_, data)| data).collect()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

async fn send_numbers(server: &TestServer, from: usize, to: usize) {
    let mut device = server.authenticated("a").await;
    for number in from..to {
        while device.send(number.to_string().as_bytes()).await.is_err() {}
    }
}

/// A server with messages in its open segment, to which something happens. Nothing is sent until it is noticed.
async fn lose(name: &str, folder: &Path, accident: Accident) -> TestServer {
    let server = server(name, folder, |_| {});
    send_numbers(&server, 0, BEFORE).await;
    let open = segments(folder).pop().unwrap();
    accident(&open);
    let path = open.display().to_string();
    eventually("it is noticed", || logs::has(&["ERROR the open segment", &path, "is lost"])).await;
    eventually("the rest is logged", || {
        [" are saved in ", " are lost with its files", " cannot be saved "]
            .iter()
            .any(|end| logs::has(&[&path, end]))
    })
    .await;
    assert!(!logs::has(&[&path, "is no longer there"]), "it is logged once");
    server
}

#[tokio::test]
async fn acknowledged_messages_are_saved_whatever_happens_to_the_files() {
    let accidents: [(&str, Accident); 7] = [
        ("moved", |open| fs::rename(open, open.with_file_name("elsewhere")).unwrap()),
        ("moved-whole", |open| {
            for ending in ["", "-wal", "-shm"] {
                fs::rename(beside(open, ending), beside(&open.with_file_name("elsewhere"), ending)).unwrap();
            }
        }),
        ("removed", |open| fs::remove_file(open).unwrap()),
        ("removed-whole", |open| {
            for ending in ["", "-wal", "-shm"] {
                fs::remove_file(beside(open, ending)).unwrap();
            }
        }),
        ("log-removed", |open| fs::remove_file(beside(open, "-wal")).unwrap()),
        ("log-moved", |open| fs::rename(beside(open, "-wal"), open.with_file_name("elsewhere")).unwrap()),
        ("cut", |open| cut(open, 0)),
    ];
    for (name, accident) in accidents {
        let folder = tempfile::tempdir().unwrap();
        let server = lose(name, folder.path(), accident).await;
        send_numbers(&server, BEFORE, BEFORE + 10).await;
        assert_eq!(data(folder.path()), numbers(BEFORE + 10), "{name}");
        server.stop();
        let again = crate::server(name, folder.path(), |_| {});
        send_numbers(&again, BEFORE + 10, BEFORE + 11).await;
        assert_eq!(data(folder.path()), numbers(BEFORE + 11), "{name}");
        assert_eq!(ids(folder.path()), (1..=BEFORE as i64 + 11).collect::<Vec<_>>(), "{name}");
    }
}

fn ids(folder: &Path) -> Vec<i64> {
    let ids = |path: &PathBuf| {
        let connection = Connection::open(path).unwrap();
        let mut all = connection.prepare("SELECT id FROM message ORDER BY id").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect::<Vec<i64>>()
    };
    segments(folder).iter().flat_map(ids).collect()
}

#[tokio::test]
async fn a_segment_whose_place_is_taken_is_saved_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = lose("replaced", folder.path(), |open| {
        let other = open.with_file_name("other");
        fs::write(&other, "a foreign file").unwrap();
        fs::rename(other, open).unwrap();
    })
    .await;
    let place = segments(folder.path()).remove(0);
    assert_eq!(fs::read_to_string(&place).unwrap(), "a foreign file");
    fs::remove_file(&place).unwrap();
    send_numbers(&server, BEFORE, BEFORE + 1).await;
    assert_eq!(rows(folder.path()), [pair("a", &BEFORE.to_string())]);
    let saved = place.parent().unwrap().join("rescued").join(place.file_name().unwrap());
    let saved: Vec<String> = rows_of(&saved).into_iter().map(|(_, data)| data).collect();
    assert_eq!(saved, numbers(BEFORE));
}

#[tokio::test]
async fn of_a_log_that_is_cut_short_the_lost_ids_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("log-cut", folder.path(), |_| {});
    let mut raw = server.raw().await;
    raw.send(auth("a")).await;
    raw.expect("auth_ok").await;
    for numbers in (0..LARGE).collect::<Vec<_>>().chunks(1000) {
        raw.send(numbers.iter().flat_map(|number| send("a", format!("{number:0500}"))).collect::<Vec<_>>())
            .await;
        raw.expect(&"send_ok".repeat(numbers.len())).await;
    }
    let open = segments(folder.path()).pop().unwrap();
    let log = beside(&open, "-wal");
    cut(&log, fs::metadata(&log).unwrap().len() / 2);
    let path = open.display().to_string();
    eventually("it is noticed", || logs::has(&[&path, "its write-ahead log was cut short"])).await;
    eventually("the rest is logged", || logs::has(&[&path, "are lost with its files"])).await;
    send_numbers(&server, LARGE, LARGE + 1).await;
    // SQLite may still have the newest pages in memory, and all others of these messages are gone.
    let left = data(folder.path());
    assert!(left.ends_with(&[LARGE.to_string()]) && left.len() < LARGE, "{} are left", left.len());
    let first_lost = format!("messages {} to {LARGE} of {path}", left.len());
    assert!(logs::has(&["ERROR", &first_lost, "are lost with its files"]), "{first_lost}");
}

#[tokio::test]
async fn a_folder_that_is_moved_away_fails_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (place, away) = (folder.path().join("data"), folder.path().join("away"));
    let server = server("away", &place, |_| {});
    send_numbers(&server, 0, BEFORE).await;
    fs::rename(&place, &away).unwrap();
    let path = place.display().to_string();
    eventually("it is noticed", || logs::has(&[&path, "the folder was moved, removed or unmounted"])).await;
    assert!(server.authenticated("a").await.send(b"nowhere").await.is_err());
    assert!(!place.exists());
    assert_eq!(data(&away), numbers(BEFORE));
    fs::rename(&away, &place).unwrap();
    send_numbers(&server, BEFORE, BEFORE + 1).await;
    assert_eq!(data(&place), numbers(BEFORE + 1));
}

#[tokio::test]
async fn ids_are_not_given_again_after_a_segment_was_taken_away_and_the_server_killed() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let (mut command, own) = command(None, &[]);
        fs::write(own.path().join("config.toml"), format!("{CONFIG}[store]\npath = {:?}\n", folder.path()))
            .unwrap();
        command.env("RUST_LOG", "info");
        Server::of(command, own)
    };
    let mut first = start();
    fill(&first).await;
    let noted =
        || fs::read_to_string(folder.path().join("lock")).is_ok_and(|text| text.contains("last id 50"));
    eventually("it is noted", noted).await;
    let open = segments(folder.path()).pop().unwrap();
    first.signal("KILL");
    first.ended();
    ["", "-wal", "-shm"].iter().for_each(|ending| fs::remove_file(beside(&open, ending)).unwrap());
    let second = start();
    fill(&second).await;
    let ids = ids(folder.path());
    assert!(ids.len() == BEFORE && ids[0] > 10_000_000, "{ids:?}");
    let said = second.lines(" WARN ").join("\n");
    assert!(said.contains("messages 1 to 50 and possibly later ones are missing"), "{said}");
}

/// A device whose messages are all acknowledged.
async fn fill(server: &Server) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&auth("a")).await.unwrap();
    let frames: Vec<u8> = numbers(BEFORE).iter().flat_map(|number| send("a", number.as_str())).collect();
    stream.write_all(&frames).await.unwrap();
    stream.read_exact(&mut vec![0; "auth_ok".len() + BEFORE * "send_ok".len()]).await.unwrap();
}

#[tokio::test]
async fn a_segment_that_was_moved_or_emptied_before_a_kill_is_restored_from_its_log() {
    let accidents: [Accident; 2] =
        [|open| fs::rename(open, open.with_extension("elsewhere")).unwrap(), |open| cut(open, 0)];
    for accident in accidents {
        let folder = tempfile::tempdir().unwrap();
        let start = || {
            let (mut command, own) = command(None, &[]);
            let config = format!("{CONFIG}[store]\npath = {:?}\n", folder.path());
            fs::write(own.path().join("config.toml"), config).unwrap();
            command.env("RUST_LOG", "info");
            Server::of(command, own)
        };
        let mut first = start();
        fill(&first).await;
        let open = segments(folder.path()).pop().unwrap();
        accident(&open);
        first.signal("KILL");
        first.ended();
        // A reader does not harm the log.
        let _ = segment::open_read_only(&open);
        let second = start();
        second.address();
        assert_eq!(data(folder.path()), numbers(BEFORE));
        let said = second.lines(" WARN ").join("\n");
        assert!(
            said.contains("was missing; messages 1 to 50 are restored from its write-ahead log"),
            "{said}"
        );
        fill(&second).await;
        assert_eq!(ids(folder.path()), (1..=2 * BEFORE as i64).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_stop_saves_what_was_lost_right_before_it() {
    let accidents: [(&str, Accident); 3] = [
        ("stop-log", |open| fs::remove_file(beside(open, "-wal")).unwrap()),
        ("stop-both", |open| ["", "-wal"].iter().for_each(|end| fs::remove_file(beside(open, end)).unwrap())),
        ("stop-cut", |open| cut(open, 0)),
    ];
    for (name, accident) in accidents {
        let folder = tempfile::tempdir().unwrap();
        let first = server(name, folder.path(), |_| {});
        send_numbers(&first, 0, BEFORE).await;
        accident(&segments(folder.path()).pop().unwrap());
        first.stop();
        let second = server(name, folder.path(), |_| {});
        send_numbers(&second, BEFORE, 2 * BEFORE).await;
        second.stop();
        assert_eq!(data(folder.path()), numbers(2 * BEFORE), "{name}");
        assert_eq!(ids(folder.path()), (1..=2 * BEFORE as i64).collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test]
async fn a_log_that_is_cut_short_is_noticed_although_it_grows_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("hole", folder.path(), |_| {});
    let open = segments(folder.path()).pop().unwrap();
    let path = open.display().to_string();
    let is_noticed = || logs::has(&["ERROR the open segment", &path, "its write-ahead log was cut short"]);
    let mut device = server.authenticated("a").await;
    let make_holes = async {
        while !is_noticed() {
            device.send(b"before").await.unwrap();
            let log = beside(&open, "-wal");
            // What is cut off and written over in between is a hole.
            let hole = vec![0; fs::metadata(&log).unwrap().len() as usize];
            File::options().write(true).open(&log).unwrap().write_all_at(&hole, 0).unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), make_holes).await.expect("it is noticed");
    eventually("its ids are named", || {
        [" are saved in ", " are lost with its files", " cannot be saved "]
            .iter()
            .any(|end| logs::has(&[&path, end]))
    })
    .await;
    server.stop();
}

#[tokio::test]
async fn ids_are_not_given_again_if_the_older_segment_was_locked_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    server("locked-start", folder.path(), |_| {}).stop();
    // As a server notes it that is killed; its newest segment is gone.
    fs::write(folder.path().join("lock"), "pid 1 since 2026-01-01T00:00:00Z\nlast id 1000\n").unwrap();
    let other = crate::open(folder.path());
    other.execute_batch("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE").unwrap();
    let server = server("locked-start", folder.path(), |config| {
        config.store.lock_timeout = Duration::from_millis(20);
    });
    assert!(server.authenticated("a").await.send(b"during").await.is_err());
    drop(other);
    recovers(&server, "after").await;
    assert_eq!(ids(folder.path()), [10_001_000]);
}
