//! How `trap-client` finds its server, reads what it sends, and prints.

use std::fs::File;
use std::io::{Read, Write};

use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use serde_json::json;
use trap_server::protocol::MAX_DATA;

use crate::script::Server;
use crate::trap_client::{client, program};
use crate::{AUTH, COMMAND, PUBLISH, SEND};

#[test]
fn the_server_is_named_by_options_and_by_the_environment() {
    for (arguments, host, port) in [
        (&["-h", "127.0.0.1:PORT"][..], "nowhere.invalid", "1"),
        (&["-p", "PORT"], "127.0.0.1:1", "1"),
        (&["-h", "127.0.0.1", "-p", "PORT"], "nowhere.invalid:1", "1"),
        (&[], "127.0.0.1:PORT", "1"),
        (&[], "127.0.0.1", "PORT"),
    ] {
        let server = Server::with(|mut peer| peer.answer(b"\x44\x00\x05pump7", b"auth_failure"));
        let port_of = |text: &str| text.replace("PORT", &server.addr.port().to_string());
        let mut command = program();
        command.envs([
            ("TRAP_HOST", port_of(host)),
            ("TRAP_PORT", port_of(port)),
            ("TRAP_ID", "pump7".into()),
        ]);
        command.arg("send").args(arguments.iter().map(|argument| port_of(argument))).arg("hello");
        command.assert().code(1).stdout("auth_failure\n");
        server.finish();
    }
    let told = "the host has the port 1, and `--port` is 2";
    let assert = program().args(["-h", "127.0.0.1:1", "ping", "-p", "2"]).assert().code(64);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains(told));
}

#[test]
fn help_that_cannot_be_printed_exits_with_74_and_a_closed_pipe_with_0() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for help in [&["--help"][..], &["send", "--help"], &["--version"]] {
        let command = || {
            let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("trap-client"));
            command.args(help).stderr(std::process::Stdio::piped());
            command
        };
        let output = command().stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(74), "{help:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr)
                .starts_with("trap-client: cannot write to standard output")
        );
        let (unread, stdout) = std::io::pipe().unwrap();
        drop(unread);
        let output = command().stdout(stdout).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{help:?}");
    }
}

#[test]
fn quiet_is_silent_but_for_a_refusal() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(SEND, &[PUBLISH, b"send_ok"].concat());
        peer.expect_end();
    });
    client(&server).args(["-q", "send", "hello"]).assert().success().stdout("").stderr("");
    server.finish();
    let refusals: [(&[&str], &[u8], &[u8]); 3] = [
        (&["send", "hello"], b"auth_failure", b""),
        (&["send", "hello"], b"auth_ok", b"send_failure"),
        (&["ping"], b"auth_failure", b""),
    ];
    for (arguments, auth, send) in refusals {
        let server = Server::with(move |mut peer| {
            peer.answer(AUTH, auth);
            if !send.is_empty() {
                peer.answer(SEND, send);
            }
        });
        let refusal = String::from_utf8(if send.is_empty() { auth } else { send }.to_vec()).unwrap();
        let assert = client(&server).arg("--quiet").args(arguments).assert().code(1).stdout("");
        assert.stderr(format!("trap-client: the server refused: {refusal}\n"));
        server.finish();
    }
}

#[test]
fn json_is_an_object_on_each_line() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(SEND, &[PUBLISH, b"send_ok", COMMAND, b"\x4a\x00\x03\x01x\x1b[\xff"].concat());
    });
    let assert = client(&server).args(["send", "--json", "--wait", "hello"]).assert().success();
    let expected = [
        json!({ "reply": "auth_ok" }),
        json!({ "event": "publish", "from": "other", "data": "ZGF0YQ==", "text": "data" }),
        json!({ "reply": "send_ok" }),
        json!({ "event": "command", "id": "c1", "data": "dXA=", "text": "up" }),
        json!({ "event": "publish", "from": "x", "data": "G1v/", "text": null }),
    ];
    assert_eq!(objects(&assert.get_output().stdout), expected);
    server.finish();
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(b"\x40\x00", b"pong");
        peer.expect_end();
    });
    let assert = client(&server).args(["ping", "--json", "--count", "1"]).assert().success();
    let [pong, sum] = <[_; 2]>::try_from(objects(&assert.get_output().stdout)).unwrap();
    assert!(pong["reply"] == "pong" && pong["time_ms"].is_f64(), "{pong}");
    assert!(sum["sent"] == 1 && sum["lost"] == 0 && sum["avg_ms"] == pong["time_ms"], "{sum}");
    server.finish();
}

fn objects(printed: &[u8]) -> Vec<serde_json::Value> {
    let lines = std::str::from_utf8(printed).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_long_file_is_split_with_the_option_split() {
    for (size, frames) in [(MAX_DATA + 1, &[MAX_DATA, 1][..]), (2 * MAX_DATA, &[MAX_DATA; 2]), (0, &[0])] {
        let data: Vec<u8> = (0..size).map(|at| at as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&data).unwrap();
        let server = Server::with(move |mut peer| {
            peer.answer(AUTH, b"auth_ok");
            let mut rest = &data[..];
            for size in frames {
                let (piece, behind) = rest.split_at(*size);
                rest = behind;
                let len = u16::try_from(*size).unwrap().to_be_bytes();
                peer.answer(&[b"\x47", &len[..], b"\x0aclient0012", piece].concat(), b"send_ok");
            }
            peer.expect_end();
        });
        let assert = client(&server).args(["send", "--split", "--file"]).arg(file.path()).assert().success();
        assert.stdout(format!("auth_ok\n{}", "send_ok\n".repeat(frames.len()))).stderr("");
        server.finish();
    }
}

#[test]
fn a_person_is_prompted() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(SEND, b"send_ok");
        peer.expect_end();
    });
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let terminal = || File::options().read(true).write(true).open(&name).unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("trap-client"));
    command.args(["--port", &server.addr.port().to_string()]).stdin(terminal()).stderr(terminal());
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // It has the terminal open, too, which would never end.
    drop(command);
    // The last byte ends the input.
    File::from(master.try_clone().unwrap()).write_all(b"hello\n\x04").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "auth_ok\nsend_ok\n");
    assert!(output.status.success());
    let mut seen = Vec::new();
    // Reading a terminal that no process has open is an error on Linux.
    let _ = File::from(master).read_to_end(&mut seen);
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(seen.contains("as client0012: each line is one SEND, Ctrl-D ends\r\n> "), "{seen:?}");
    server.finish();
}
