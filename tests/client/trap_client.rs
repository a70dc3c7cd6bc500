//! The program `trap-client`, run as its users run it.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use assert_cmd::Command;
use assert_cmd::assert::OutputAssertExt;
use trap_server::protocol::MAX_DATA;

use crate::script::{Peer, Server};
use crate::{AUTH, COMMAND, PUBLISH, SEND};

const WORLD: &[u8] = b"\x47\x00\x05\x0aclient0012world";

#[test]
fn a_text_is_one_send() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(b"\x47\x00\x09\x0aclient0012two words", b"send_ok");
        peer.expect_end();
    });
    client(&server)
        .args(["send", "--host", "localhost", "two", "words"])
        .assert()
        .success()
        .stdout("auth_ok\nsend_ok\n")
        .stderr("");
    server.finish();
}

#[test]
fn a_file_is_one_send_as_it_is() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(b"\x47\x00\x04\x0aclient0012a\n\xff\n", b"send_failure");
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"a\n\xff\n").unwrap();
    let assert = client(&server).args(["send", "--file"]).arg(file.path()).assert();
    assert.code(1).stdout("auth_ok\nsend_failure\n").stderr("");
    server.finish();
}

#[test]
fn a_file_too_long_or_missing_is_reported_before_connecting() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(MAX_DATA as u64 + 1).unwrap();
    let told = format!(
        "trap-client: {} is too long for one SEND, the limit is 65535 bytes; --split sends it as several SENDs\n",
        file.path().display()
    );
    nowhere().args(["send", "--file"]).arg(file.path()).assert().code(65).stdout("").stderr(told);
    let told = "trap-client: cannot read /no/such: No such file or directory (os error 2)\n";
    nowhere().args(["send", "--file", "/no/such"]).assert().code(66).stderr(told);
}

#[test]
fn a_one_shot_goes_without_auth() {
    for (args, stdin) in [(&["send", "--once", "hello"][..], ""), (&["send", "--once", "-"], "hello")] {
        let server = Server::with(|mut peer| {
            let one_shot = [b"\x87", &SEND[1..]].concat();
            peer.answer(&one_shot, b"send_ok");
        });
        client(&server).args(args).write_stdin(stdin).assert().success().stdout("send_ok\n");
        server.finish();
    }
}

#[test]
fn each_line_of_standard_input_is_a_send_and_answers_may_come_late() {
    for args in [&[][..], &["send"], &["send", "-"]] {
        let server = Server::with(|mut peer| {
            peer.answer(AUTH, b"auth_ok");
            peer.answer(&[SEND, WORLD].concat(), b"send_failuresend_ok");
            peer.expect_end();
        });
        let assert = client(&server).args(args).write_stdin("hello\n\n\r\nworld\r\n").assert();
        assert.code(1).stdout("auth_ok\nsend_failure\nsend_ok\n").stderr("");
        server.finish();
    }
}

#[test]
fn a_line_too_long_ends_the_input_but_not_the_answers() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(SEND, b"send_ok");
        peer.expect_end();
    });
    let stdin = format!("hello\n{}\nworld\n", "x".repeat(MAX_DATA + 1));
    let assert = client(&server).write_stdin(stdin).assert().code(65).stdout("auth_ok\nsend_ok\n");
    let told = "trap-client: line 2 of standard input is too long for one SEND, the limit is 65535 bytes\n";
    assert.stderr(told);
    server.finish();
}

#[test]
fn a_line_too_long_does_not_cut_the_wait_for_answers_short() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(SEND, b"");
        peer.expect_end();
    });
    let stdin = format!("hello\n{}\n", "x".repeat(MAX_DATA + 1));
    client(&server).args(["--timeout", "1s"]).write_stdin(stdin).assert().code(69).stdout("auth_ok\n");
    server.finish();
}

#[test]
fn more_lines_than_the_window_are_all_answered() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        for _ in 0..500 {
            peer.answer(SEND, b"send_ok");
        }
        peer.expect_end();
    });
    let told = format!("auth_ok\n{}", "send_ok\n".repeat(500));
    client(&server).write_stdin("hello\n".repeat(500)).assert().success().stdout(told);
    server.finish();
}

#[test]
fn waiting_prints_what_the_server_sends_until_it_closes() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(SEND, &[PUBLISH, b"send_ok", COMMAND, b"\x4a\x00\x03\x01x\x1b[\xff"].concat());
    });
    let assert = client(&server).args(["send", "--wait", "hello"]).assert().success();
    let told = "auth_ok\npublish from other: data\nsend_ok\ncommand c1: up\npublish from x: \\x1b[\\xff\n";
    assert.stdout(told).stderr("");
    server.finish();
}

#[test]
fn a_refusal_is_an_exit_code() {
    let refuse = |mut peer: Peer| peer.answer(AUTH, b"auth_failure");
    let server = Server::with(refuse);
    client(&server).args(["send", "hello"]).assert().code(1).stdout("auth_failure\n");
    server.finish();
    let server = Server::with(refuse);
    client(&server).args(["ping"]).assert().code(1).stdout("auth_failure\n").stderr("");
    server.finish();
}

#[test]
fn each_way_to_fail_has_its_line_and_its_code() {
    let cases: [(&[u8], u8, &str); 4] = [
        (b"", 69, "the server closed the connection before send_ok"),
        (b"send", 69, "the server closed the connection 4 bytes into a word or frame"),
        (b"pong", 76, "expected send_ok for each SEND, the server sent pong"),
        (b"HTTP", 76, "the server sent neither a reply nor a frame (first byte 0x48)"),
    ];
    for (answer, code, told) in cases {
        let server = Server::with(|mut peer| {
            peer.answer(AUTH, b"auth_ok");
            peer.answer(SEND, answer);
        });
        let assert = client(&server).args(["send", "hello"]).assert();
        assert.code(i32::from(code)).stderr(format!("trap-client: {told}\n"));
        server.finish();
    }
}

#[test]
fn silence_ends_at_the_timeout() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(SEND, b"");
        peer.expect_end();
    });
    let assert = client(&server).args(["--timeout", "1s", "send", "hello"]).assert();
    assert.code(69).stderr("trap-client: timed out after 1s waiting for a reply or an event\n");
    server.finish();
}

#[test]
fn an_unreachable_server_is_reported_with_its_address() {
    // Bound and not listening: no other process gets the port, and connections are refused.
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = bound.local_addr().unwrap().as_socket().unwrap().port();
    let assert = with_port(port).args(["send", "hello"]).assert().code(69).stdout("");
    let told = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(told.starts_with("trap-client: cannot connect to 127.0.0.1 port "), "{told}");
    assert_eq!(told.lines().count(), 1);
}

#[test]
fn pings_are_timed_and_summed_up() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(b"\x40\x00", b"pong");
        peer.answer(b"\x40\x00", b"pong");
        peer.answer(b"\x40\x00", b"pong");
        peer.expect_end();
    });
    let peer = server.addr;
    let assert = client(&server).args(["ping", "--count", "3", "--interval", "1ms"]).assert().success();
    let told = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let [one, two, three, title, sum] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told:?}") };
    for pong in [one, two, three] {
        assert!(pong.starts_with(&format!("pong from {peer}: time=")) && pong.ends_with(" ms"), "{pong}");
    }
    assert_eq!(title, format!("--- {peer} ping statistics ---"));
    assert!(sum.starts_with("3 sent, 3 answered, 0 lost, min/avg/max = "), "{sum}");
    server.finish();
}

#[test]
fn between_pings_the_server_is_heard() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(b"\x40\x00", &[b"pong", PUBLISH].concat());
    });
    let assert = client(&server).args(["ping", "--interval", "1h"]).assert().code(69);
    let told = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert_eq!(told.lines().nth(1), Some("publish from other: data"));
    assert!(told.contains("\n1 sent, 1 answered, 0 lost"), "{told}");
    assert.stderr("trap-client: the server closed the connection before the next ping\n");
    server.finish();
}

#[test]
fn a_lost_ping_is_a_failure() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(b"\x40\x00", b"pong");
        peer.answer(b"\x40\x00", b"");
        peer.expect_end();
    });
    let assert = client(&server).args(["ping", "--interval", "0s", "--timeout", "1s"]).assert();
    let told = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert!(told.contains("\n2 sent, 1 answered, 1 lost, min/avg/max = "), "{told}");
    assert.code(69).stderr("trap-client: timed out after 1s waiting for pong\n");
    server.finish();
}

#[test]
fn ctrl_c_ends_pings_with_the_summary() {
    let (ponged, told) = std::sync::mpsc::channel();
    let server = Server::with(move |mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(b"\x40\x00", b"pong");
        peer.answer(b"\x40\x00", b"");
        ponged.send(()).unwrap();
        peer.expect_end();
    });
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("trap-client"));
    command.args(["--port", &server.addr.port().to_string(), "ping", "--interval", "0s"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    told.recv_timeout(Duration::from_secs(10)).unwrap();
    let kill = format!("kill -INT {}", child.id());
    let kill = std::process::Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.clone().stdout).unwrap();
    assert!(told.contains("\n1 sent, 1 answered, 0 lost"), "{told}");
    output.assert().success();
    server.finish();
}

#[test]
fn bad_usage_is_64_and_help_is_none() {
    let bad: [&[&str]; 9] = [
        &["--json", "--quiet"],
        &["send", "--split", "x"],
        &["send", "--split", "--once", "--file", "f"],
        &["fly"],
        &["--id", ""],
        &["--timeout", "soon"],
        &["ping", "--count", "0"],
        &["send", "--once", "--wait", "x"],
        &["send", "--file", "f", "x"],
    ];
    for args in bad {
        nowhere().args(args).assert().code(64).stdout("");
    }
    let help = nowhere().arg("--help").assert().success().stderr("");
    assert!(String::from_utf8_lossy(&help.get_output().stdout).contains("Exit codes:"));
}

/// The program, with the address of the server.
pub fn client(server: &Server) -> Command {
    with_port(server.addr.port())
}

/// The program, where it does not come to connecting.
fn nowhere() -> Command {
    with_port(0)
}

fn with_port(port: u16) -> Command {
    let mut command = program();
    command.args(["--port", &port.to_string()]);
    command
}

pub fn program() -> Command {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("trap-client");
    for name in ["TRAP_HOST", "TRAP_PORT", "TRAP_ID", "TRAP_TIMEOUT"] {
        command.env_remove(name);
    }
    command.timeout(Duration::from_secs(20));
    command
}
