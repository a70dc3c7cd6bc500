//! Arguments and configs: what is said, and the exit code.

use std::fs;
use std::net::TcpListener;
use std::process::{Output, Stdio};

use tempfile::TempDir;

use crate::child::{CONFIG, PATIENCE, Server, command, command_in, run, run_in};
use crate::store::{folder, segment};

pub fn assert_ends(output: &Output, code: i32, stdout: &[&str], stderr: &[&str]) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    assert!(stdout.iter().all(|words| out.contains(words)), "{stdout:?} are not in: {out}");
    assert!(stderr.iter().all(|words| err.contains(words)), "{stderr:?} are not in: {err}");
    assert_eq!((stdout.is_empty(), stderr.is_empty()), (out.is_empty(), err.is_empty()), "{out}{err}");
}

#[test]
fn without_a_config_the_server_starts_with_the_defaults_and_logs_it() {
    let defaults = "the default config (./config.toml does not exist)";
    assert_ends(&run(None, &["--check"]), 0, &[defaults, "0.0.0.0:5000"], &[]);

    // The default port may be taken on this machine.
    let (command, folder) = command(None, &[]);
    let mut server = Server::of(command, folder);
    server.await_line(&format!("starts with {defaults}"));
    server.await_line("0.0.0.0:5000");
    if server.lines("listening listener=trap address=0.0.0.0:5000").is_empty() {
        assert_eq!(server.ended().code(), Some(69));
    }
}

#[test]
fn a_command_without_a_config_does_nothing_and_names_the_paths() {
    let commands: [&[&str]; 6] = [
        &["clients", "add", "a"],
        &["clients", "list"],
        &["clients", "unknown"],
        &["messages"],
        &["backup", "copy"],
        &["restore", "copy"],
    ];
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().canonicalize().unwrap();
    let [config, data] = ["config.toml", "data"].map(|name| place.join(name).display().to_string());
    for arguments in commands {
        assert_ends(&run_in(folder.path(), arguments), 64, &[], &[&config, &data, "`--config FILE`"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?}");
    }
}

#[test]
fn other_segments_are_read_without_a_config() {
    let folder = folder(CONFIG);
    segment(folder.path());
    fs::remove_file(folder.path().join("config.toml")).unwrap();
    assert_ends(&run_in(folder.path(), &["messages", "--from", "data"]), 0, &["DATA"], &[]);
}

#[test]
fn a_config_in_the_folder_is_taken() {
    let server = Server::start(CONFIG);
    server.await_line("starts with config.toml, workers=2");
    assert_ne!(server.address().port(), 0);
}

#[test]
fn a_config_that_is_missing_is_named() {
    assert_ends(&run(Some(CONFIG), &["--config", "no/such.toml"]), 64, &[], &["cannot read no/such.toml: "]);
}

#[test]
fn every_mistake_is_told_with_its_place_and_nothing_is_bound() {
    // Were it bound, it would fail otherwise: the address is taken.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap();
    let config = format!(
        "[[listener]]\nbind = \"{bind}\"\nacceptors = 0\n[session]\n  max_fram = 1\n[log]\nlevel = \"loud\"\n"
    );
    let mistakes = [
        "config.toml:3:13: `acceptors` must",
        "config.toml:5:3: unknown key in [session]",
        "config.toml:7:9: `level` must",
    ];
    assert_ends(&run(Some(&config), &[]), 64, &[], &mistakes);
    assert_ends(&run(Some(&config), &["--check"]), 64, &[], &mistakes);
}

#[test]
fn check_prints_the_effective_settings_and_starts_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = CONFIG.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    let said = ["config.toml is valid. Effective settings:", "listener test", "max_connections"];
    assert_ends(&run(Some(&config), &["--check"]), 0, &said, &[]);
    assert_ends(&run(Some(&config), &["--check", "--config", "config.toml"]), 0, &said, &[]);
}

#[test]
fn help_version_and_unknown_arguments() {
    assert_ends(&run(None, &["--help"]), 0, &["Usage: trap-server", "--config", "--check", "RUST_LOG"], &[]);
    assert_ends(&run(None, &["--version"]), 0, &[env!("CARGO_PKG_VERSION")], &[]);
    assert_ends(&run(None, &["--chekc"]), 64, &[], &["--chekc", "--check"]);
    assert_ends(&run(None, &["config.toml"]), 64, &[], &["config.toml", "Usage"]);
}

#[test]
fn the_option_config_is_accepted_before_and_after_a_command() {
    for arguments in [["--config", "no/such.toml", "messages"], ["messages", "--config", "no/such.toml"]] {
        assert_ends(&run(Some(CONFIG), &arguments), 64, &[], &["cannot read no/such.toml: "]);
    }
    assert_ends(
        &run(Some(CONFIG), &["--check", "messages"]),
        64,
        &[],
        &["`--check` cannot be used with a command"],
    );
}

#[test]
fn a_port_in_use_is_named_with_its_listener() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = CONFIG.replace("127.0.0.1:0", &address);
    let said = ["listener \"test\" cannot listen on ", &address, "in use"];
    assert_ends(&run(Some(&config), &[]), 69, &[], &said);
}

#[test]
fn a_dangling_link_is_not_a_missing_config() {
    let (command, folder) = command(None, &["--check"]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("config.toml")).unwrap();
    let output = assert_cmd::Command::from_std(command).timeout(PATIENCE).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("cannot read config.toml: "));
}

/// All that prints to standard output.
const PRINTERS: [&[&str]; 8] = [
    &["--help"],
    &["--version"],
    &["--check"],
    &["messages"],
    &["messages", "--format", "raw"],
    &["clients", "list"],
    &["clients", "unknown", "--format", "csv"],
    &["clients", "import", "ids.csv"],
];

/// A folder in which each of them has something to print.
fn printers() -> TempDir {
    let folder = folder("[credentials]\nsource = \"sqlite\"\n");
    let sql = "INSERT INTO message VALUES (7, 0, 'one', '127.0.0.1:1', 'test', 'session', x'6869')";
    segment(folder.path()).execute_batch(sql).unwrap();
    assert!(run_in(folder.path(), &["clients", "add", "zero"]).status.success());
    fs::write(folder.path().join("ids.csv"), "id\none\n").unwrap();
    folder
}

#[test]
fn an_output_that_cannot_be_written_is_74() {
    let folder = printers();
    for arguments in PRINTERS {
        let mut command = command_in(folder.path(), arguments);
        let output =
            command.stdout(full()).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(74), "{arguments:?}: {told}");
        assert!(told.starts_with("trap-server: cannot write to standard output: No space left"), "{told}");
        let status = command_in(folder.path(), arguments).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(74), "{arguments:?}");
    }
    let missing = command_in(folder.path(), &["--config", "missing"]).stderr(full()).status().unwrap();
    assert_eq!(missing.code(), Some(64));
}

fn full() -> fs::File {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap()
}

#[test]
fn an_output_that_nobody_reads_is_a_quiet_success() {
    let folder = printers();
    for arguments in PRINTERS {
        let (unread, stdout) = std::io::pipe().unwrap();
        drop(unread);
        let mut command = command_in(folder.path(), arguments);
        let output =
            command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{arguments:?}");
    }
}

#[test]
fn why_there_is_no_server_is_said_even_where_the_log_is_silent() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = CONFIG.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    let (mut command, _folder) = command(Some(&config), &[]);
    command.env("RUST_LOG", "off");
    let output = assert_cmd::Command::from_std(command).timeout(PATIENCE).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Another process has it"));
}
