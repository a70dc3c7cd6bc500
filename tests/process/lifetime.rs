//! From `listening` to the last line: signals, open sessions, sessions that do not end, and a log without a reader.

use std::io::{BufRead, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rusqlite::Connection;
use socket2::{Domain, Socket, Type};
use tokio::task::JoinSet;
use trap_server::client::Device;

use crate::child::{CONFIG, PATIENCE, Server, command, command_in, eventually};

const MANY: usize = 1000;

pub async fn device(address: SocketAddr, id: &str) -> Device {
    let mut device = Device::connect_within(PATIENCE, address).await.unwrap();
    device.auth(id).await.unwrap();
    device
}

/// Devices that all connect at the same time.
async fn many(address: SocketAddr, count: usize) -> Vec<Device> {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let mut coming = JoinSet::new();
    for number in 0..count {
        coming.spawn(async move { device(address, &format!("device{number}")).await });
    }
    coming.join_all().await
}

#[tokio::test]
async fn sigterm_and_sigint_stop_it_with_a_thousand_sessions_open() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(CONFIG);
        let devices = many(server.address(), MANY).await;
        server.signal(signal);
        server.await_line(&format!("SIG{signal} received: shutting down (send again to force)"));
        for mut device in devices {
            device.closed().await.unwrap();
        }
        assert_eq!(server.ended().code(), Some(0));
        server.await_line("stopping listener test");
        server.await_line(&format!("stopped {MANY} sessions"));
        server.await_line("stopped cut_off=0 killed=0");
    }
}

#[tokio::test]
async fn sessions_that_do_not_end_are_cut_off_and_counted() {
    let mut server = Server::start(&CONFIG.replace("\"30s\"", "\"5s\""));
    let _stuck = peer_that_does_not_read(server.address());
    let _devices = many(server.address(), 3).await;
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    server.await_line("stopped 3 sessions, cut off 1 that did not end in time");
    server.await_line("stopped cut_off=1 killed=0");
}

/// A server that takes long to stop, since one session does not end.
fn stopping_for_long() -> (Server, SocketAddr, TcpStream) {
    // Longer than the test waits, and the stuck session may stay as long.
    let config = CONFIG.replace("\"30s\"", "\"1h\"") + "[session]\nwrite_timeout = \"1h\"\n";
    let server = Server::start(&config);
    let address = server.address();
    let stuck = peer_that_does_not_read(address);
    server.signal("TERM");
    server.await_line("SIGTERM received: shutting down");
    (server, address, stuck)
}

#[tokio::test]
async fn a_second_signal_forces_the_shutdown() {
    for second in ["TERM", "INT", "QUIT"] {
        let (mut server, _, _stuck) = stopping_for_long();
        server.await_line("stopping listener test");
        assert!(server.is_running());
        server.signal(second);
        assert_eq!(server.ended().code(), Some(0));
        server.await_line(&format!("SIG{second} received: forced shutdown cut_off=1"));
    }
}

#[test]
fn a_server_that_stops_refuses_connections_immediately() {
    let (mut server, address, _stuck) = stopping_for_long();
    let is_refused =
        || TcpStream::connect(address).is_err_and(|err| err.kind() == ErrorKind::ConnectionRefused);
    eventually("newcomers are refused", is_refused);
    assert!(server.is_running());
}

#[tokio::test]
async fn signals_without_an_effect_are_ignored_and_logged() {
    let mut server = Server::start(CONFIG);
    let mut device = device(server.address(), "device").await;
    for signal in ["USR1", "USR2"] {
        server.signal(signal);
        server.await_line(&format!("SIG{signal} received: ignored, this signal has no effect"));
    }
    device.ping().await.unwrap();
    drop(device);
    server.signal("QUIT");
    assert_eq!(server.ended().code(), Some(0));
    server.await_line("SIGQUIT received: shutting down");
    server.await_line("stopped cut_off=0 killed=0");
}

#[test]
fn a_start_that_waits_for_a_lock_can_be_stopped() {
    // A file as the server makes it.
    let config = CONFIG.to_owned() + "[store]\nlock_timeout = \"20s\"\n";
    let (command, folder) = command(Some(&config), &[]);
    let mut first = Server::of(command, folder);
    first.await_line("listening listener=");
    first.signal("TERM");
    assert_eq!(first.ended().code(), Some(0));
    let lock = Connection::open(first.folder().join("data/messages/00000000000000000001.db")).unwrap();
    lock.execute_batch("PRAGMA journal_mode = delete; BEGIN EXCLUSIVE").unwrap();

    let command = command_in(first.folder(), &[]);
    let mut second = Server::of(command, tempfile::tempdir().unwrap());
    second.await_line("starts with config.toml");
    second.signal("TERM");
    // A start that fails has another code.
    assert_eq!(second.ended().code(), Some(0));
    second.await_line("SIGTERM received during the start: stopped");
    assert!(second.lines("listening").is_empty());
}

/// A peer that pings and does not read, until its server stops reading.
fn peer_that_does_not_read(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"\x44\x00\x05stuck").unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    loop {
        match stream.write(&[0x40; 64 * 1024]) {
            Ok(_) => {}
            Err(err) if err.kind() == ErrorKind::WouldBlock => return stream,
            Err(err) => panic!("{err}"),
        }
    }
}

#[tokio::test]
async fn a_killed_server_does_not_keep_its_port() {
    // An address whose ports no other process on this machine takes.
    let mut first = Server::start(&CONFIG.replace("127.0.0.1:0", "127.77.0.2:0"));
    let address = first.address();
    let mut devices = many(address, 10).await;
    first.signal("KILL");
    assert_eq!(first.ended().code(), None);
    // Nothing is sent: a reset would do away with what the kernel keeps of the connections.
    for device in &mut devices {
        device.closed().await.unwrap();
    }
    let second = Server::start(&CONFIG.replace("127.0.0.1:0", &address.to_string()));
    assert_eq!(second.address(), address);
    device(address, "device0").await.ping().await.unwrap();
}

#[tokio::test]
async fn the_environment_overrides_the_level_of_the_log() {
    let quiet = CONFIG.to_owned() + "[log]\nlevel = \"warn\"\n";
    let (mut command, folder) = command(Some(&quiet), &[]);
    command.env("RUST_LOG", "debug");
    let server = Server::of(command, folder);
    device(server.address(), "device").await.ping().await.unwrap();
    assert!(server.await_line("frame peer=").contains(" DEBUG "));
}

#[tokio::test]
async fn a_log_without_a_reader_stalls_no_session() {
    let (mut command, folder) = command(Some(CONFIG), &[]);
    command.env("RUST_LOG", "trace");
    let (mut server, mut stderr) = Server::unread(command, folder);
    let mut line = String::new();
    while !line.contains("listening listener=test") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0);
    }
    let address = line.trim_end().rsplit_once("address=").unwrap().1.parse().unwrap();
    let mut device = device(address, "device").await;
    // A pipe holds 64 KiB, the log 1 MiB waiting and 1 MiB being written: this is more.
    for _ in 0..400 {
        device.send(&[b'x'; 4096]).await.unwrap();
    }
    server.read(stderr);
    let notice = server.await_line("lines were dropped: ");
    assert!(notice.contains(" WARN "), "{notice}");
    device.ping().await.unwrap();
    server.signal("TERM");
    drop(device);
    assert_eq!(server.ended().code(), Some(0));
    server.await_line("stopped cut_off=0 killed=0");
}

/// Built without the feature it has no faults, and does not look for any.
#[cfg(feature = "faults")]
#[test]
fn a_supervisor_that_gives_up_is_logged_and_exits_with_70() {
    let config = CONFIG.to_owned() + "[supervisor]\nmax_restarts = 2\n";
    let (mut command, folder) = command(Some(&config), &[]);
    command.env("TRAP_FAULTS", "Registry,Registry,Registry");
    let mut server = Server::of(command, folder);
    assert_eq!(server.ended().code(), Some(70));
    let line = server.await_line("; restarting restart=2 limit=\"2 in 1h\" delay=10ms");
    let (_, cause) = line.split_once("registry ended: ").unwrap();
    let (cause, _) = cause.split_once("; restarting").unwrap();
    assert!(cause.starts_with("panicked: injected fault at Registry at=src/faults.rs:"), "{line}");
    server.await_line(&format!("gave up: registry ended ({cause}): restart limit exceeded (2 in 1h)"));
    // A panic of a child is one line.
    let panics = server.lines("panicked");
    assert_eq!(panics.iter().filter(|line| !line.contains("registry ended")).count(), 0, "{panics:?}");
    server.await_line("registry runs again after=");
    server.await_line("stopped cut_off=0 killed=0");
}

#[cfg(feature = "faults")]
#[test]
fn a_session_that_crashes_is_one_line_with_the_place() {
    let (mut command, folder) = command(Some(CONFIG), &[]);
    command.env("TRAP_FAULTS", "Session").env("RUST_BACKTRACE", "1");
    let server = Server::of(command, folder);
    let peer = TcpStream::connect(server.address()).unwrap();
    let line = server.await_line("ended reason=crashed listener=test");
    assert!(line.contains(&format!(" peer={} client=\"\" ", peer.local_addr().unwrap())), "{line}");
    let (_, place) = line.split_once(" phase=new unanswered=0 at=src/faults.rs:").unwrap();
    assert!(place.parse::<u32>().is_ok(), "{line}");
    // The text of a panic may contain data of the peer.
    assert_eq!(server.lines("injected fault").len(), 0);
    assert!(
        server.await_line(&format!("backtrace of src/faults.rs:{place}: ")).contains(" src/session/mod.rs:")
    );
}

#[test]
fn a_level_at_which_the_store_log_is_silent_is_warned_of() {
    let warning = "the store \"log\" writes nothing at this log level";
    let config = CONFIG.to_owned() + "[store]\nkind = \"log\"\n";
    assert!(Server::start(&config).lines(warning).is_empty());
    let (mut command, folder) = command(Some(&config), &[]);
    command.env("RUST_LOG", "info,trap_server::store=off");
    Server::of(command, folder).await_line(warning);
}
