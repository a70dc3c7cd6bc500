//! A PostgreSQL server of the test's own, in a temporary folder, reached through a socket there.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use tempfile::TempDir;

use crate::child::eventually;
use crate::site::text;

/// The password of the role that the server under test has.
pub const PASSWORD: &str = "geheim";

/// The user root has all rights there; the role `trap` needs its password.
const HBA: &str = "local all postgres trust\nlocal all all scram-sha-256\n";

pub struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    server: Option<Child>,
}

impl Cluster {
    /// A server with an empty database `trap` in UTF8. `None` where no PostgreSQL is installed, which in CI is a failure.
    pub fn start() -> Option<Self> {
        Self::start_in("UTF8")
    }

    fn start_in(encoding: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "PostgreSQL is missing; apt-get install postgresql");
            eprintln!("skipped: no PostgreSQL is installed (Debian's package is postgresql)");
            return None;
        };
        let mut cluster = Self { programs, folder: tempfile::tempdir().unwrap(), server: None };
        cluster.make();
        cluster.resume();
        let create = format!("CREATE DATABASE trap ENCODING '{encoding}' TEMPLATE template0");
        cluster.sql_in("postgres", &create);
        Some(cluster)
    }

    /// The database made again in this encoding, and empty.
    pub fn set_encoding(&self, encoding: &str) {
        self.sql_in("postgres", "DROP DATABASE trap");
        let locale = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
        self.sql_in("postgres", &format!("CREATE DATABASE trap ENCODING '{encoding}' {locale}"));
    }

    /// The same with the tables, and the role `trap`.
    pub fn with_tables() -> Option<Self> {
        Self::with_tables_in("UTF8")
    }

    /// The same in another encoding.
    pub fn with_tables_in(encoding: &str) -> Option<Self> {
        let cluster = Self::start_in(encoding)?;
        cluster.apply();
        cluster.sql(&format!("ALTER ROLE trap PASSWORD '{PASSWORD}'"));
        Some(cluster)
    }

    fn make(&self) {
        if is_root() {
            succeed(Command::new("chown").arg("postgres:").arg(self.folder.path()));
        }
        let mut initdb = self.program("initdb");
        initdb.args(["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D"]);
        succeed(initdb.arg(self.data()));
        fs::write(self.data().join("pg_hba.conf"), HBA).unwrap();
    }

    /// Applies packaging/postgres.sql.
    pub fn apply(&self) {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/postgres.sql");
        succeed(self.psql("trap").args(["-f", file]));
    }

    /// Where it is, for this role.
    pub fn url(&self, role: &str) -> String {
        format!("postgres://{role}@/trap?host={}", self.folder.path().display())
    }

    pub fn sql(&self, sql: &str) -> String {
        self.sql_in("trap", sql)
    }

    fn sql_in(&self, database: &str, sql: &str) -> String {
        succeed(self.psql(database).args(["-At", "-c", sql])).trim().to_owned()
    }

    /// Starts the server.
    pub fn resume(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut postgres = self.program("postgres");
        postgres.args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"]).arg(self.folder.path());
        postgres.arg("-D").arg(self.data()).stdin(Stdio::null());
        postgres.stdout(log.try_clone().unwrap()).stderr(log);
        self.server = Some(postgres.spawn().unwrap());
        let is_ready = || self.psql("postgres").args(["-c", "SELECT 1"]).output().unwrap().status.success();
        eventually("PostgreSQL is ready", is_ready);
    }

    /// Stops the server, as a restart does it.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal("INT", &[server.id()]);
            assert!(server.wait().unwrap().success());
        }
    }

    /// Nothing moves any more, and no connection ends, until what is returned is dropped.
    pub fn freeze(&self) -> Frozen {
        let postmaster = self.server.as_ref().unwrap().id();
        // First, so that it starts no other process.
        signal("STOP", &[postmaster]);
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
        let mut processes: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        processes.push(postmaster);
        signal("STOP", &processes);
        Frozen(processes)
    }

    /// The same of the connections that a role has now; others can be made.
    pub fn freeze_connections(&self, role: &str) -> Frozen {
        let pids = self.sql(&format!("SELECT pid FROM pg_stat_activity WHERE usename = '{role}'"));
        let processes: Vec<_> = pids.lines().map(|pid| pid.parse().unwrap()).collect();
        assert!(!processes.is_empty(), "{role} has no connection");
        signal("STOP", &processes);
        Frozen(processes)
    }

    /// A table is locked, so that every query of it hangs, until what is returned is dropped.
    pub fn lock(&self, table: &str) -> Lock {
        let mut psql = self.psql("trap");
        psql.arg("-At").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut psql = psql.spawn().unwrap();
        let mut input = psql.stdin.take().unwrap();
        writeln!(input, "BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT 'locked';").unwrap();
        let mut line = String::new();
        BufReader::new(psql.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "locked\n");
        Lock { psql, input: Some(input) }
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = self.program("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"]);
        psql.arg(self.folder.path());
        psql
    }

    /// PostgreSQL refuses to be root's.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() && name != "psql" {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal("QUIT", &[server.id()]);
            let _ = server.wait();
        }
    }
}

pub struct Frozen(Vec<u32>);

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

pub struct Lock {
    psql: Child,
    input: Option<ChildStdin>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.psql.wait();
    }
}

/// Where the newest PostgreSQL of this machine has its programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut versions: Vec<PathBuf> =
        versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).collect();
    versions.sort();
    versions.into_iter().rfind(|programs| programs.join("initdb").exists())
}

fn is_root() -> bool {
    fs::metadata(Path::new("/proc/self")).is_ok_and(|process| process.uid() == 0)
}

fn signal(name: &str, processes: &[u32]) {
    let processes: Vec<_> = processes.iter().map(u32::to_string).collect();
    // One of several processes may have ended.
    let _ = Command::new("kill").args(["-s", name]).args(processes).stderr(Stdio::null()).status().unwrap();
}

/// What a command prints, which must succeed.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
