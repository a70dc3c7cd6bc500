//! A folder with a config, in which servers and commands are run.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::child::{self, PATIENCE, Server};

pub struct Site {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Site {
    /// A config with these lines in [credentials], and the store `log`. Its log shows each refusal, and not only the first.
    pub fn new(credentials: &str) -> Self {
        Self::with_store("log", credentials)
    }

    pub fn with_store(store: &str, credentials: &str) -> Self {
        let config = format!(
            "[server]\nworkers = 2\nshutdown = \"30s\"\n[[listener]]\nname = \"test\"\nbind = \"127.0.0.1:0\"\n\
             [log]\nlevel = \"debug\"\n[credentials]\n{credentials}\n[store]\nkind = \"{store}\"\npath = \"data\"\n"
        );
        let (_, folder) = child::command(Some(&config), &[]);
        Self { folder, environment: Vec::new() }
    }

    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "SQLite needs none"))]
    pub fn with_env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// A file in the folder of the data.
    pub fn data(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("data").join(name)
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let (mut command, _) = child::command(None, arguments);
        command.env_remove("PGPASSWORD").envs(self.environment.iter().cloned());
        command.current_dir(self.folder.path());
        command
    }

    pub fn start(&self) -> Server {
        let server = Server::of(self.command(&[]), tempfile::tempdir().unwrap());
        server.await_line("listening listener=");
        server
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Output {
        assert_cmd::Command::from_std(self.command(arguments))
            .write_stdin(stdin)
            .timeout(PATIENCE)
            .output()
            .unwrap()
    }

    /// The output of a command that succeeds.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{arguments:?}: {out}");
        out
    }

    /// The exit code and the error of a command that fails.
    pub fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        (output.status.code().unwrap(), text(&output.stderr))
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What is answered to an AUTH.
pub fn auth(address: SocketAddr, id: &str) -> String {
    ask(address, &auth_frame(id))
}

fn auth_frame(id: &str) -> Vec<u8> {
    let len = u16::try_from(id.len()).unwrap().to_be_bytes();
    [&[0x44], &len[..], id.as_bytes()].concat()
}

/// What is answered to a one-shot without data.
pub fn one_shot(address: SocketAddr, id: &str) -> String {
    ask(address, &[&[0x87, 0, 0, u8::try_from(id.len()).unwrap()], id.as_bytes()].concat())
}

/// The same from another address of this machine.
pub fn auth_from(source: &str, address: SocketAddr, id: &str) -> String {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    talk(socket.into(), &auth_frame(id))
}

fn ask(address: SocketAddr, frame: &[u8]) -> String {
    talk(TcpStream::connect(address).unwrap(), frame)
}

fn talk(mut peer: TcpStream, frame: &[u8]) -> String {
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.write_all(frame).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    answer
}
