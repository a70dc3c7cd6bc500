//! `messages --follow`: what comes later, and how it ends.

use std::fs;
use std::io::BufRead;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

use crate::child::{CONFIG, PATIENCE, Server, command_in, eventually};
use crate::lifetime::device;
use crate::segments::Writer;
use crate::store::{folder, segment};

const INSERT: &str = "INSERT INTO message VALUES (?, 0, 'one', '127.0.0.1:1', 'test', 'session', x'6869')";

/// A command whose lines are read as they come. Dropped, it is killed.
pub struct Follower {
    child: Child,
    lines: Option<Lines<BufReader<Receiver>>>,
}

impl Follower {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let arguments = [&["messages", "--follow", "--format", "csv"], arguments].concat();
        let mut command = command_in(folder, &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = OwnedFd::from(child.stdout.take().unwrap());
        let lines = BufReader::new(Receiver::from_owned_fd(stdout).unwrap()).lines();
        Self { child, lines: Some(lines) }
    }

    /// The next line, which will come.
    pub async fn line(&mut self) -> String {
        let lines = self.lines.as_mut().unwrap();
        timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap()
    }

    /// The id in the next line.
    pub async fn id(&mut self) -> String {
        self.line().await.split(',').next().unwrap().into()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Its standard error, after its end.
    fn said(&mut self) -> String {
        std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap()
    }

    fn ended(&mut self) -> ExitStatus {
        eventually("the command ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn messages_are_printed_as_they_arrive_until_the_output_is_closed() {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    writer.send("one", b"before");
    let mut follower = Follower::start(folder.path(), &["--client", "one"]);
    assert_eq!((follower.id().await, follower.id().await), ("id".into(), "1".into()));
    writer.send("two", b"of another");
    writer.send("one", b"later");
    assert_eq!(follower.id().await, "3");
    writer.send("one", b"later still");
    assert_eq!(follower.id().await, "4");
    // Nothing more comes, and the end is noticed all the same.
    follower.lines = None;
    assert_eq!(follower.ended().code(), Some(0));
}

#[tokio::test]
async fn nothing_old_is_printed_if_none_is_wanted_and_sigint_ends_it() {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    writer.send("one", b"before");
    let mut follower = Follower::start(folder.path(), &["--limit", "0"]);
    // It knows what there is when it says what the columns are.
    assert_eq!(follower.id().await, "id");
    writer.send("one", b"later");
    assert_eq!(follower.id().await, "2");
    follower.signal("INT");
    assert_eq!(follower.ended().signal(), Some(2));
}

#[tokio::test]
async fn gaps_within_a_segment_are_stepped_over() {
    let folder = folder(CONFIG);
    let connection = segment(folder.path());
    connection.execute(INSERT, [1]).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut follower = Follower::start(folder.path(), &[]);
    assert_eq!((follower.id().await, follower.id().await), ("id".into(), "1".into()));
    connection.execute(INSERT, [1_i64 << 40]).unwrap();
    connection.execute_batch("COMMIT").unwrap();
    assert_eq!(follower.id().await, (1_i64 << 40).to_string());
}

#[tokio::test]
async fn segments_that_are_begun_and_sealed_are_followed() {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    let mut follower = Follower::start(folder.path(), &[]);
    assert_eq!(follower.id().await, "id");
    for _ in 0..3 {
        let first = writer.next;
        writer.send_many(3);
        let unsealed = writer.roll();
        writer.send_many(2);
        unsealed.seal();
        for id in first..writer.next {
            assert_eq!(follower.id().await, id.to_string());
        }
    }
}

#[tokio::test]
async fn a_server_that_starts_again_is_followed() {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    writer.send_many(1);
    let mut follower = Follower::start(folder.path(), &["--after", "0"]);
    assert_eq!((follower.id().await, follower.id().await), ("id".into(), "1".into()));
    let next = writer.next;
    drop(writer);
    let mut writer = Writer::from(folder.path(), next);
    writer.send_many(2);
    assert_eq!((follower.id().await, follower.id().await), ("2".into(), "3".into()));
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_is_followed() {
    let folder = folder(&format!("{CONFIG}[store]\nsegment_size = \"64KiB\"\n"));
    let mut follower = None;
    let mut next = 1;
    for _ in 0..3 {
        let mut server = Server::of(command_in(folder.path(), &[]), tempfile::tempdir().unwrap());
        let mut device = device(server.address(), "one").await;
        let follower = follower.get_or_insert_with(|| Follower::start(folder.path(), &["--after", "0"]));
        if next == 1 {
            assert_eq!(follower.id().await, "id");
        }
        for _ in 0..5 {
            device.send(&[b'x'; 40_000]).await.unwrap();
            assert_eq!(follower.id().await, next.to_string());
            next += 1;
        }
        server.signal("KILL");
        server.ended();
    }
}

#[tokio::test]
async fn messages_removed_before_they_were_printed_are_named() {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    writer.send_many(1);
    let mut follower = Follower::start(folder.path(), &[]);
    assert_eq!((follower.id().await, follower.id().await), ("id".into(), "1".into()));
    // What comes while it is stopped is removed before it can look.
    follower.signal("STOP");
    let unsealed = writer.roll();
    writer.send_many(4);
    writer.roll().seal();
    fs::remove_file(writer.path(2)).unwrap();
    writer.send_many(1);
    follower.signal("CONT");
    assert_eq!(follower.id().await, "6");
    unsealed.seal();
    follower.lines = None;
    assert_eq!(follower.ended().code(), Some(0));
    assert_eq!(follower.said(), "trap-server: messages 2 to 5 are missing: their segment was removed\n");
}

#[tokio::test]
async fn messages_that_come_back_are_named() {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    writer.send_many(1);
    let mut follower = Follower::start(folder.path(), &[]);
    assert_eq!((follower.id().await, follower.id().await), ("id".into(), "1".into()));
    follower.signal("STOP");
    let _first = writer.roll();
    writer.send_many(4);
    writer.roll().seal();
    let aside = folder.path().join("aside");
    fs::rename(writer.path(2), &aside).unwrap();
    writer.send_many(1);
    follower.signal("CONT");
    assert_eq!(follower.id().await, "6");
    fs::rename(&aside, writer.path(2)).unwrap();
    let (tell, told) = mpsc::channel();
    let said = std::io::BufReader::new(follower.child.stderr.take().unwrap());
    std::thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    let missing = "trap-server: messages 2 to 5 are missing: their segment was removed";
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), missing);
    let back = "trap-server: messages 2 to 5 were missing and are there now; they are not printed: read them with \
                `--after 1`";
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), back);
    writer.send_many(1);
    assert_eq!(follower.id().await, "7");
}

#[tokio::test]
async fn messages_that_are_replaced_by_older_ones_end_it() {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    writer.send_many(5);
    let mut follower = Follower::start(folder.path(), &["--limit", "1"]);
    assert_eq!((follower.id().await, follower.id().await), ("id".into(), "5".into()));
    fs::rename(folder.path().join("data"), folder.path().join("old")).unwrap();
    Writer::new(folder.path()).send_many(1);
    assert_eq!(follower.ended().code(), Some(74));
    let said = follower.said();
    assert!(said.contains("the next message should be 6, but the newest one is "), "{said}");
}
