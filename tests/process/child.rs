//! A server in a process of its own.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest that a test waits for what must happen: much longer than it takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A config for tests: every id may authenticate, on a free port of the loopback.
pub const CONFIG: &str = r#"
[server]
workers = 2
shutdown = "30s"
[[listener]]
name = "test"
bind = "127.0.0.1:0"
[credentials]
clients = ["*"]
"#;

/// The binary with these arguments, in a folder with this config, if there is one.
pub fn command(config: Option<&str>, arguments: &[&str]) -> (Command, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    if let Some(config) = config {
        write(folder.path(), config);
    }
    (command_in(folder.path(), arguments), folder)
}

/// The binary with these arguments, in this folder.
pub fn command_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trap-server"));
    for name in ["RUST_LOG", "RUST_LOG_STYLE", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(folder).env("TZ", "UTC").stdin(Stdio::null());
    command
}

fn write(folder: &Path, config: &str) {
    File::create(folder.join("config.toml")).unwrap().write_all(config.as_bytes()).unwrap();
}

/// Runs the binary to its end.
pub fn run(config: Option<&str>, arguments: &[&str]) -> Output {
    let (command, _folder) = command(config, arguments);
    output(command)
}

/// Runs the binary to its end, in this folder.
pub fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    output(command_in(folder, arguments))
}

fn output(command: Command) -> Output {
    assert_cmd::Command::from_std(command).timeout(PATIENCE).output().unwrap()
}

/// A server that runs. Dropped, it is killed.
pub struct Server {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

impl Server {
    /// A server that listens.
    pub fn start(config: &str) -> Self {
        let (command, folder) = command(Some(config), &[]);
        let server = Self::of(command, folder);
        server.await_line("listening listener=");
        server
    }

    /// A server whose log is read.
    pub fn of(command: Command, folder: TempDir) -> Self {
        let (mut server, stderr) = Self::unread(command, folder);
        server.read(stderr);
        server
    }

    /// A server whose log has no reader.
    pub fn unread(mut command: Command, folder: TempDir) -> (Self, BufReader<ChildStderr>) {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        (Self { child, log: Arc::default(), folder }, stderr)
    }

    /// Reads the log from now on.
    pub fn read(&mut self, stderr: BufReader<ChildStderr>) {
        let log = Arc::clone(&self.log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                log.lock().unwrap().push(line);
            }
        });
    }

    /// The lines with these words so far.
    pub fn lines(&self, words: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line.contains(words)).cloned().collect()
    }

    /// The first line with these words, which will come.
    pub fn await_line(&self, words: &str) -> String {
        eventually(words, || !self.lines(words).is_empty());
        self.lines(words).swap_remove(0)
    }

    pub fn address(&self) -> SocketAddr {
        let line = self.await_line("listening listener=");
        line.split_once("address=").unwrap().1.parse().unwrap()
    }

    /// Where it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How it ended; it has to.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the server ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
