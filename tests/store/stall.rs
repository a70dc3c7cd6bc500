//! The thread that writes stalls, as it does when the disk does.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::child::{CONFIG, Server, command};
use crate::common::eventually;
use crate::common::raw::{PING, Raw, auth, send};
use crate::{rows, server};

const MIB: usize = 1 << 20;
const BUDGET: usize = 4 * MIB;

/// A kilobyte each, and together much more than the budget.
const DEVICES: usize = 100;
const SENDS: usize = 500;

fn id(device: usize) -> String {
    format!("device{device}")
}

fn message(number: usize) -> String {
    format!("{number:01000}")
}

async fn device(server: &Server, id: &str) -> Raw {
    let mut device = Raw::over(TcpStream::connect(server.address()).await.unwrap());
    device.send(auth(id)).await;
    device.expect("auth_ok").await;
    device
}

/// A number of kilobytes that the kernel knows of the server, in bytes.
fn memory(server: &Server, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn a_writer_that_stalls_costs_nothing_but_time() {
    let config = CONFIG.replace("[server]", &format!("[server]\nmax_unanswered = \"{BUDGET}B\""));
    let (mut command, folder) = command(Some(&config), &[]);
    command.env("TRAP_FAULTS", "Writer=10s");
    let server = Server::of(command, folder);
    let mut quiet = device(&server, "quiet").await;
    let mut devices = Vec::new();
    for number in 0..DEVICES {
        let frames: Vec<u8> = (0..SENDS).flat_map(|sent| send(id(number), message(sent))).collect();
        devices.push((device(&server, &id(number)).await, frames));
    }
    let before = memory(&server, "VmRSS:");
    let (stalls, mut load) = (Arc::new(AtomicBool::new(true)), JoinSet::new());
    for (mut device, frames) in devices {
        let stalls = Arc::clone(&stalls);
        load.spawn(async move {
            device.send(frames).await;
            device.expect("send_ok").await;
            stalls.store(false, Ordering::SeqCst);
            device.expect(&"send_ok".repeat(SENDS - 1)).await;
        });
    }
    let mut pongs = 0;
    while stalls.load(Ordering::SeqCst) {
        quiet.send(PING).await;
        quiet.expect("pong").await;
        pongs += 1;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    load.join_all().await;
    assert!(pongs > 50, "only {pongs} pongs while nothing was stored");
    // The budget, what is in a transaction, and what an allocator keeps.
    let grown = memory(&server, "VmHWM:").saturating_sub(before);
    assert!(grown < 5 * BUDGET, "the server has grown by {grown} bytes");

    let rows = rows(&server.folder().join("data"));
    assert_eq!(rows.len(), DEVICES * SENDS);
    for device in (0..DEVICES).map(id) {
        let own = rows.iter().filter(|(client, _)| *client == device).map(|(_, data)| data);
        assert!(own.eq(&(0..SENDS).map(message).collect::<Vec<_>>()), "{device}");
    }
}

/// So little that it is used up and free again all the time, on several threads at the same time.
#[tokio::test]
async fn no_session_is_forgotten_with_room_for_only_a_few() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("few", folder.path(), |config| config.server.max_unanswered = 16 << 10);
    let mut load = JoinSet::new();
    for number in 0..60 {
        let mut device = server.raw().await;
        device.send(auth(id(number))).await;
        device.expect("auth_ok").await;
        let frames = send(id(number), [7; 500]).repeat(10);
        load.spawn(async move {
            for _ in 0..50 {
                device.send(&frames).await;
                device.expect(&"send_ok".repeat(10)).await;
            }
        });
    }
    load.join_all().await;
    assert_eq!(server.totals().stored, 60 * 500);
    // A session lets go of its memory at the end of the turn in which it answers.
    eventually("nothing is held", || server.budget.used() == 0).await;
}
