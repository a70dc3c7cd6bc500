//! A server that runs out of descriptors.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use rlimit::{Resource, prlimit};
use trap_server::client::Device;

use crate::child::{CONFIG, PATIENCE, Server, eventually};
use crate::lifetime::device;

/// A server, and devices with sessions on it, whose descriptors have no gaps: the limit is one of their numbers.
async fn without_gaps(config: &str) -> (Server, Vec<Device>) {
    let server = Server::start(config);
    // Its files would be closed later, and leave gaps.
    let next = server.folder().join("data/messages/next.db");
    eventually("the next segment is ready", || next.exists());
    let mut devices = Vec::new();
    let has_gaps = |open: Vec<u64>| open.iter().max().unwrap() >= &(open.len() as u64);
    while devices.len() < 10 || has_gaps(open_files(&server)) {
        devices.push(device(server.address(), &format!("device{}", devices.len())).await);
    }
    (server, devices)
}

fn open_files(server: &Server) -> Vec<u64> {
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    open.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// Lets the server open this many more files than it has open now.
fn allow_more_files(server: &Server, more: u64) {
    let process = i32::try_from(server.pid()).unwrap();
    let (mut soft, mut hard) = (0, 0);
    prlimit(process, Resource::NOFILE, None, Some((&mut soft, &mut hard))).unwrap();
    let limit = open_files(server).len() as u64 + more;
    prlimit(process, Resource::NOFILE, Some((limit, hard)), None).unwrap();
}

/// Devices that have sent their id and are not accepted yet.
fn newcomers(server: &Server, count: usize) -> Vec<TcpStream> {
    let address = server.address();
    let newcomer = |number| {
        let mut newcomer = TcpStream::connect(address).unwrap();
        newcomer.set_read_timeout(Some(PATIENCE)).unwrap();
        newcomer.write_all(format!("\x44\x00\x09newcomer{number}").as_bytes()).unwrap();
        newcomer
    };
    (0..count).map(newcomer).collect()
}

fn assert_served(newcomers: &mut [TcpStream]) {
    for newcomer in newcomers {
        let mut answer = [0; 7];
        newcomer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"auth_ok");
    }
}

/// Waits until the server has paused for longer than the interval of its log lines about it.
fn await_pause(server: &Server) {
    server.await_line("accepting pauses listener=test");
    let stats = || server.lines("stats sessions=").len();
    let before = stats();
    eventually("two reports", || stats() > before + 1);
    assert_eq!(server.lines("accepting pauses").len(), 1);
}

#[tokio::test]
async fn without_descriptors_live_sessions_go_on_and_newcomers_wait() {
    let config = CONFIG.to_owned() + "[log]\nstats_every = \"1s\"\n";
    let (server, mut living) = without_gaps(&config).await;
    allow_more_files(&server, 0);
    let mut waiting = newcomers(&server, 10);
    await_pause(&server);
    for device in &mut living {
        device.send(b"hello").await.unwrap();
    }
    assert_eq!(server.lines("authenticated listener=test").len(), living.len());

    allow_more_files(&server, 100);
    assert_served(&mut waiting);
    server.await_line("accepting again listener=test");
}

#[tokio::test]
async fn freed_descriptors_go_to_waiting_connections() {
    let config = CONFIG.replace("name =", "acceptors = 1\nname =") + "[log]\nstats_every = \"1s\"\n";
    let (server, mut living) = without_gaps(&config).await;
    allow_more_files(&server, 0);
    let mut waiting = newcomers(&server, 5);
    await_pause(&server);
    living.drain(..5);
    assert_served(&mut waiting);
    // They took all of them: it is over when one more is free.
    living.pop();
    server.await_line("accepting again listener=test");
    for device in &mut living {
        device.ping().await.unwrap();
    }
}
