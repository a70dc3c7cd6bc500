//! Arguments and configs: what is said, and the exit code.

use std::net::TcpListener;
use std::process::Output;

use crate::child::{CONFIG, PATIENCE, Server, command, run};

pub fn assert_ends(output: &Output, code: i32, stdout: &[&str], stderr: &[&str]) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    assert!(stdout.iter().all(|words| out.contains(words)), "{stdout:?} are not in: {out}");
    assert!(stderr.iter().all(|words| err.contains(words)), "{stderr:?} are not in: {err}");
    assert_eq!((stdout.is_empty(), stderr.is_empty()), (out.is_empty(), err.is_empty()), "{out}{err}");
}

#[test]
fn without_a_config_it_starts_with_the_defaults_and_says_so() {
    let defaults = "the default config (there is no ./config.toml)";
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
        "config.toml:5:3: [session] has no",
        "config.toml:7:9: `level` must",
    ];
    assert_ends(&run(Some(&config), &[]), 64, &[], &mistakes);
    assert_ends(&run(Some(&config), &["--check"]), 64, &[], &mistakes);
}

#[test]
fn check_tells_what_a_config_means_and_starts_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = CONFIG.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    let said = ["config.toml is right. It means:", "listener test", "max_connections"];
    assert_ends(&run(Some(&config), &["--check"]), 0, &said, &[]);
    assert_ends(&run(Some(&config), &["--check", "--config", "config.toml"]), 0, &said, &[]);
}

#[test]
fn help_and_version_and_what_is_neither() {
    assert_ends(&run(None, &["--help"]), 0, &["Usage: trap-server", "--config", "--check", "RUST_LOG"], &[]);
    assert_ends(&run(None, &["--version"]), 0, &[env!("CARGO_PKG_VERSION")], &[]);
    assert_ends(&run(None, &["--chekc"]), 64, &[], &["--chekc", "--check"]);
    assert_ends(&run(None, &["config.toml"]), 64, &[], &["config.toml", "Usage"]);
}

#[test]
fn a_config_may_stand_before_a_command_and_behind_it() {
    for arguments in [["--config", "no/such.toml", "messages"], ["messages", "--config", "no/such.toml"]] {
        assert_ends(&run(Some(CONFIG), &arguments), 64, &[], &["cannot read no/such.toml: "]);
    }
    assert_ends(
        &run(Some(CONFIG), &["--check", "messages"]),
        64,
        &[],
        &["`--check` stands without a command"],
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
fn a_config_that_leads_nowhere_is_not_taken_for_none() {
    let (command, folder) = command(None, &["--check"]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("config.toml")).unwrap();
    let output = assert_cmd::Command::from_std(command).timeout(PATIENCE).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("cannot read config.toml: "));
}

#[test]
fn an_output_that_takes_nothing_does_not_change_the_exit_code() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (arguments, code) in [(&["--check"][..], 0), (&["--config", "missing"], 64)] {
        let (mut command, _folder) = command(None, arguments);
        let status = command.stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
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
