//! A million messages: neither memory nor what is read grows with them, unless it is to be printed.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use crate::child::{CONFIG, command_in};
use crate::follow::Follower;
use crate::segments::path;
use crate::store::{folder, segment};

const MESSAGES: usize = 1_000_000;
const DATA: usize = 50;
const MIB: u64 = 1 << 20;

/// A message each second, from 1970 on.
fn insert(folder: &Path) {
    let sql = format!(
        "WITH RECURSIVE number(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM number WHERE id < {MESSAGES})
         INSERT INTO message SELECT id, id * 1000000, 'one', '127.0.0.1:1', 'test', 'session', zeroblob({DATA})
         FROM number"
    );
    segment(folder).execute_batch(&sql).unwrap();
}

/// A number that the kernel knows of a process.
fn figure(pid: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_million_messages_are_found_in_and_printed_without_effort() {
    let folder = folder(CONFIG);
    insert(folder.path());
    let size = fs::metadata(path(&folder.path().join("data"), 1)).unwrap().len();
    assert!(size > 64 * MIB, "{size}");

    // The last ten, by their time: 1970-01-12T13:46:40Z is the last.
    let mut follower = Follower::start(folder.path(), &["--since", "1970-01-12T13:46:31Z"]);
    assert_eq!(follower.id().await, "id");
    for id in MESSAGES - 9..=MESSAGES {
        assert_eq!(follower.id().await, id.to_string());
    }
    let read = figure(follower.pid(), "io", "rchar:");
    assert!(read < MIB, "{read} bytes were read");
    drop(follower);

    let mut command = command_in(folder.path(), &["messages", "--format", "raw"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // What is left is more than fits into a pipe: the command is still there.
    let before = MESSAGES * DATA * 9 / 10;
    assert_eq!(
        std::io::copy(&mut stdout.by_ref().take(before as u64), &mut std::io::sink()).unwrap(),
        before as u64
    );
    let memory = figure(child.id(), "status", "VmHWM:") << 10;
    let rest = std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(before as u64 + rest, (MESSAGES * DATA) as u64);
    assert!(memory < 32 * MIB, "{memory} bytes of memory");
}
