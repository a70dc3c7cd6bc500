//! `backup` and `restore`, while messages are stored and segments are begun, sealed and removed.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use trap_server::database::{self, Options, SINGLE};

use crate::child::{CONFIG, PATIENCE, Server, command_in, eventually, run_in};
use crate::lifetime::device;
use crate::messages::ids;
use crate::segments::{Writer, damage};
use crate::store::folder;
use crate::usage::assert_ends;

fn all(folder: &Path, arguments: &[&str]) -> Vec<i64> {
    let output = run_in(folder, &[&["messages", "--format", "csv"], arguments].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    ids(&output.stdout)
}

/// Stores messages without a pause, begins segments, seals them, and removes the oldest.
struct Load {
    stored: Arc<AtomicI64>,
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Load {
    fn start(folder: &Path, kept: usize) -> Self {
        let (stored, is_over) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut writer = Writer::new(folder);
        let thread = thread::spawn({
            let (stored, is_over) = (Arc::clone(&stored), Arc::clone(&is_over));
            move || {
                let mut segments = vec![1];
                while !is_over.load(Ordering::Relaxed) {
                    for _ in 0..20 {
                        writer.send_many(5);
                        stored.store(writer.next - 1, Ordering::SeqCst);
                    }
                    let unsealed = writer.roll();
                    segments.push(writer.next);
                    writer.send_many(5);
                    unsealed.seal();
                    if segments.len() > kept {
                        fs::remove_file(writer.path(segments.remove(0))).unwrap();
                    }
                }
            }
        });
        let load = Self { stored, is_over, thread: Some(thread) };
        eventually("there are segments", || load.stored() > 300);
        load
    }

    /// The newest message that is stored.
    fn stored(&self) -> i64 {
        self.stored.load(Ordering::SeqCst)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_backup_under_load_has_each_message_once_and_can_be_restored() {
    let folder = folder(CONFIG);
    let load = Load::start(folder.path(), usize::MAX);
    for round in 0..8 {
        let before = load.stored();
        let name = format!("backup{round}");
        let output = run_in(folder.path(), &["backup", &name]);
        assert_ends(&output, 0, &["/data to /", &name, " segments, ", " messages (1 to "], &[]);
        let saved = all(folder.path(), &["--from", &name]);
        let last = *saved.last().unwrap();
        assert!(last >= before && saved.into_iter().eq(1..=last), "{before} {last}");
        eventually("more is stored", || load.stored() > last);
    }
    drop(load);
    let saved = all(folder.path(), &["--from", "backup7"]);
    fs::rename(folder.path().join("data"), folder.path().join("old")).unwrap();
    assert_ends(
        &run_in(folder.path(), &["restore", "backup7"]),
        0,
        &["restored /", "backup7 to /", "/data: "],
        &[],
    );
    assert_eq!(all(folder.path(), &[]), saved);
    let mut writer = Writer::from(folder.path(), saved.len() as i64 + 1);
    writer.send_many(1);
    assert_eq!(all(folder.path(), &["--after", &saved.len().to_string()]), [saved.len() as i64 + 1]);
}

#[test]
fn a_backup_lacks_only_segments_removed_before_they_were_copied() {
    let folder = folder(CONFIG);
    let load = Load::start(folder.path(), 20);
    for round in 0..8 {
        let before = load.stored();
        let name = format!("backup{round}");
        let output = run_in(folder.path(), &["backup", &name]);
        assert!(output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.lines().all(|line| line.ends_with(" are not in the backup")), "{told}");
        // The newest are copied first, so there is no gap.
        let saved = all(folder.path(), &["--from", &name]);
        let (first, last) = (*saved.first().unwrap(), *saved.last().unwrap());
        assert!(last >= before && saved.into_iter().eq(first..=last), "{before} {first} {last}");
        eventually("more is stored", || load.stored() > last + 300);
    }
}

#[tokio::test]
async fn a_server_goes_on_after_a_restored_backup() {
    let folder = folder(CONFIG);
    let start = || Server::of(command_in(folder.path(), &[]), tempfile::tempdir().unwrap());
    let server = start();
    let mut one = device(server.address(), "one").await;
    one.send(b"before").await.unwrap();
    assert_ends(&run_in(folder.path(), &["backup", "b"]), 0, &["1 segment, 1 message (1), "], &[]);
    one.send(b"after").await.unwrap();
    assert_ends(&run_in(folder.path(), &["restore", "b"]), 74, &[], &["in use by another trap-server"]);
    drop(server);
    fs::rename(folder.path().join("data"), folder.path().join("old")).unwrap();
    assert_ends(&run_in(folder.path(), &["restore", "b"]), 0, &["restored "], &[]);
    let server = start();
    device(server.address(), "one").await.send(b"again").await.unwrap();
    let raw = run_in(folder.path(), &["messages", "--format", "raw"]);
    assert_eq!(raw.stdout, b"beforeagain");
    assert_eq!(all(folder.path(), &[]), [1, 2]);
}

#[test]
fn an_impossible_backup_or_restore_is_reported() {
    let folder = folder(CONFIG);
    let run = |arguments: &[&str]| run_in(folder.path(), arguments);
    assert_ends(
        &run(&["backup", "b"]),
        74,
        &[],
        &["data/messages does not exist", "`store.path` of config.toml"],
    );
    assert!(!folder.path().join("b").exists());
    let mut writer = Writer::new(folder.path());
    writer.send_many(3);
    writer.roll().seal();
    assert_ends(&run(&["backup", "."]), 74, &[], &["is not empty (it has config.toml, data)"]);
    assert_ends(
        &run(&["restore", "data"]),
        74,
        &[],
        &["data is not a complete backup: it has no backup.json"],
    );
    assert_ends(&run(&["backup", "b"]), 0, &["2 segments, 3 messages (1 to 3), "], &[]);
    assert_ends(&run(&["restore", "b"]), 74, &[], &["in use by another trap-server (pid "]);
    let path = writer.path(1);
    drop(writer);
    assert_ends(&run(&["restore", "b"]), 74, &[], &["is not empty (it has messages)", "cannot be mixed"]);
    // The backup has a link to the segment, and damage of the one is damage of the other.
    let copy = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, copy).unwrap();
    damage(&path);
    let told = ["messages 1 to 3 cannot be read: ", "1.db: damaged", "1 segment could not be read"];
    assert_ends(&run(&["backup", "c"]), 74, &["2 segments, no messages, "], &told);
    assert_ends(&run(&["messages", "--from", "b"]), 0, &["\"hi\""], &[]);
}

#[test]
fn a_full_disk_leaves_a_backup_that_is_refused() {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    writer.send_many(3);
    // The limit of the size of a file fails as a full disk does.
    let script = "ulimit -f 4; trap '' XFSZ; exec \"$0\" backup b";
    let mut command = std::process::Command::new("sh");
    let binary = command_in(folder.path(), &[]).get_program().to_owned();
    command.args(["-c", script]).arg(binary).current_dir(folder.path());
    let output = command.output().unwrap();
    assert_ends(
        &output,
        74,
        &[],
        &["the backup in ", "b is incomplete and cannot be restored; remove it and try again"],
    );
    fs::rename(folder.path().join("data"), folder.path().join("old")).unwrap();
    drop(writer);
    assert_ends(&run_in(folder.path(), &["restore", "b"]), 74, &[], &["it has no backup.json"]);
    assert!(!folder.path().join("data").exists());
}

#[test]
fn the_file_of_a_former_version_is_named_until_a_start_has_taken_it_over() {
    let folder = folder(CONFIG);
    fs::create_dir(folder.path().join("data")).unwrap();
    let single = folder.path().join("data/trap.db");
    let options = Options { path: single.clone(), full: false, lock_timeout: PATIENCE };
    let old = database::open(&SINGLE, &options).unwrap();
    old.execute_batch("INSERT INTO message VALUES (7, 0, 'one', '127.0.0.1:1', 'test', 'session', x'6869')")
        .unwrap();
    drop(old);
    let told = ["data/trap.db: the file of an older version; start the server once"];
    assert_ends(&run_in(folder.path(), &["backup", "copy"]), 74, &[], &told);
    assert!(!folder.path().join("copy").exists());
    let mut server = Server::of(command_in(folder.path(), &[]), tempfile::tempdir().unwrap());
    server.address();
    server.signal("TERM");
    server.ended();
    assert_ends(&run_in(folder.path(), &["backup", "copy"]), 0, &["2 segments, 1 message (7)"], &[]);
    fs::rename(folder.path().join("data"), folder.path().join("old")).unwrap();
    assert_ends(&run_in(folder.path(), &["restore", "copy"]), 0, &["restored "], &[]);
    assert_eq!(all(folder.path(), &[]), [7]);
}
