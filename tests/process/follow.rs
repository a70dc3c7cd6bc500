//! `messages --follow`: what comes later, and how it ends.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

use crate::child::{CONFIG, PATIENCE, Server, command_in, eventually};
use crate::lifetime::device;
use crate::store::{database, folder};

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
async fn messages_are_printed_as_they_come_until_nobody_reads() {
    let server = Server::start(CONFIG);
    let (mut one, mut two) = (device(server.address(), "one").await, device(server.address(), "two").await);
    one.send(b"before").await.unwrap();
    let mut follower = Follower::start(server.folder(), &["--client", "one"]);
    assert_eq!((follower.id().await, follower.id().await), ("id".into(), "1".into()));
    two.send(b"of another").await.unwrap();
    one.send(b"later").await.unwrap();
    assert_eq!(follower.id().await, "3");
    one.send(b"later still").await.unwrap();
    assert_eq!(follower.id().await, "4");
    // Nothing more comes, and the end is noticed all the same.
    follower.lines = None;
    assert_eq!(follower.ended().code(), Some(0));
}

#[tokio::test]
async fn nothing_old_is_printed_if_none_is_wanted_and_sigint_ends_it() {
    let server = Server::start(CONFIG);
    let mut one = device(server.address(), "one").await;
    one.send(b"before").await.unwrap();
    let mut follower = Follower::start(server.folder(), &["--limit", "0"]);
    // It knows what there is when it says what the columns are.
    assert_eq!(follower.id().await, "id");
    one.send(b"later").await.unwrap();
    assert_eq!(follower.id().await, "2");
    let pid = follower.pid().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    assert_eq!(follower.ended().signal(), Some(2));
}

#[tokio::test]
async fn a_lock_is_waited_out_and_a_gap_stepped_over() {
    let folder = folder(CONFIG);
    let connection = database(folder.path());
    connection.execute(INSERT, [1]).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut follower = Follower::start(folder.path(), &[]);
    assert_eq!((follower.id().await, follower.id().await), ("id".into(), "1".into()));
    connection.execute(INSERT, [1_i64 << 40]).unwrap();
    connection.execute_batch("COMMIT").unwrap();
    assert_eq!(follower.id().await, (1_i64 << 40).to_string());
    // Emptied, it goes on where it was.
    connection.execute_batch("DELETE FROM message").unwrap();
    connection.execute(INSERT, [(1_i64 << 40) + 1]).unwrap();
    assert_eq!(follower.id().await, ((1_i64 << 40) + 1).to_string());
}

#[tokio::test]
async fn a_file_that_is_replaced_ends_it() {
    let folder = folder(CONFIG);
    database(folder.path()).execute(INSERT, [1]).unwrap();
    let mut follower = Follower::start(folder.path(), &[]);
    assert_eq!((follower.id().await, follower.id().await), ("id".into(), "1".into()));
    fs::rename(folder.path().join("data"), folder.path().join("old")).unwrap();
    drop(database(folder.path()));
    assert_eq!(follower.ended().code(), Some(74));
    let said = std::io::read_to_string(follower.child.stderr.take().unwrap()).unwrap();
    assert!(said.contains("data/trap.db: moved, removed or replaced meanwhile"), "{said}");
}
