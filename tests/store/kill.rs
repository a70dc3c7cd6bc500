//! The server is killed under full load, again and again, while segments are begun, sealed and removed.
//!
//! `TRAP_KILLS` asks for more rounds than usual, and then the figures are printed (`--nocapture`).

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::child::{CONFIG, Server, command};
use crate::common::eventually;
use crate::common::raw::{auth, send};
use crate::rows;

/// Rounds without and with retention.
const ROUNDS: usize = 20;
const ROUNDS_WITH_RETENTION: usize = 10;
const DEVICES: usize = 40;

/// Messages that a device has on the way.
const WINDOW: usize = 16;

const OK: &[u8] = b"send_ok";

/// An authenticated device that sends 0, 1, 2, … until the server is gone, and never anything twice. How many were acknowledged.
async fn send_until_the_end(
    mut stream: TcpStream,
    id: String,
    acknowledged: Arc<AtomicUsize>,
) -> (String, usize) {
    let (mut sent, mut own, mut got) = (0, 0, Vec::new());
    loop {
        let more: Vec<u8> = (sent..own + WINDOW).flat_map(|number| send(&id, number.to_string())).collect();
        sent = own + WINDOW;
        let mut buffer = [0; 4096];
        if stream.write_all(&more).await.is_err() {
            return (id, own);
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return (id, own),
            Ok(read) => got.extend_from_slice(&buffer[..read]),
        }
        let words = got.len() / OK.len();
        assert!(got.chunks_exact(OK.len()).all(|word| word == OK), "{}", String::from_utf8_lossy(&got));
        got.drain(..words * OK.len());
        own += words;
        acknowledged.fetch_add(words, Ordering::SeqCst);
    }
}

async fn round(number: usize, folder: &Path, limits: &str) -> Vec<(String, usize)> {
    let (mut command, own_folder) = command(None, &[]);
    let config = format!("{CONFIG}[store]\npath = {folder:?}\nsegment_size = \"64KiB\"\n{limits}");
    File::create(own_folder.path().join("config.toml")).unwrap().write_all(config.as_bytes()).unwrap();
    command.env("RUST_LOG", "info,trap_server::session=error");
    let mut server = Server::of(command, own_folder);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut devices = JoinSet::new();
    for device in 0..DEVICES {
        let id = format!("{number}-{device}");
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(&auth(&id)).await.unwrap();
        stream.read_exact(&mut [0; "auth_ok".len()]).await.unwrap();
        devices.spawn(send_until_the_end(stream, id, Arc::clone(&acknowledged)));
    }
    // Each round at another moment.
    let enough = 500 + number % 20 * 397;
    eventually("the load is on", || acknowledged.load(Ordering::SeqCst) > enough).await;
    // A look at the folder comes every half second: some rounds are longer, so that something is removed under load.
    if !limits.is_empty() && number % 3 == 2 {
        eventually("something is removed", || !server.lines("removed segments=").is_empty()).await;
    }
    server.signal("KILL");
    server.ended();
    assert_eq!(server.lines(" ERROR "), [""; 0]);
    devices.join_all().await
}

fn rounds(usual: usize) -> usize {
    std::env::var("TRAP_KILLS").map_or(usual, |text| text.parse().unwrap())
}

/// Ids and what was acknowledged, of all rounds in their order.
async fn kill_often(rounds: usize, folder: &Path, limits: &str) -> Vec<(String, usize)> {
    let mut acknowledged = Vec::new();
    for number in 0..rounds {
        acknowledged.extend(round(number, folder, limits).await);
    }
    acknowledged
}

/// The numbers that are stored of each device, in the order of their ids.
fn stored(folder: &Path) -> HashMap<String, Vec<usize>> {
    let mut stored = HashMap::<_, Vec<usize>>::new();
    for (client, data) in rows(folder) {
        stored.entry(client).or_default().push(data.parse().unwrap());
    }
    stored
}

/// Prints the figures of many rounds.
fn report(rounds: usize, acknowledged: &[(String, usize)], stored: &HashMap<String, Vec<usize>>) {
    let acknowledged: usize = acknowledged.iter().map(|(_, own)| own).sum();
    let stored: usize = stored.values().map(Vec::len).sum();
    println!("kills={rounds} acknowledged={acknowledged} stored={stored}");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_once_and_in_order_after_many_kills() {
    let folder = tempfile::tempdir().unwrap();
    let rounds = rounds(ROUNDS);
    let acknowledged = kill_often(rounds, folder.path(), "").await;
    let all = stored(folder.path());
    report(rounds, &acknowledged, &all);
    for (id, own) in acknowledged {
        let stored = all.get(&id).map_or(&[][..], Vec::as_slice);
        // What was not acknowledged may be there too, but not out of order.
        assert!(stored.len() >= own, "{id}: {own} were acknowledged, {} are stored", stored.len());
        assert!(stored.iter().copied().eq(0..stored.len()), "{id}: {stored:?}");
    }
}

#[tokio::test]
async fn what_retention_leaves_is_complete_after_many_kills() {
    let folder = tempfile::tempdir().unwrap();
    let rounds = rounds(ROUNDS_WITH_RETENTION);
    let acknowledged = kill_often(rounds, folder.path(), "max_size = \"1MiB\"\n").await;
    let all = stored(folder.path());
    report(rounds, &acknowledged, &all);
    let of_round = |id: &str| id.split_once('-').unwrap().0.parse::<usize>().unwrap();
    // Messages of earlier rounds are older.
    let oldest = all.keys().map(|id| of_round(id)).min().unwrap();
    assert!(oldest > 0, "the first round is removed");
    for (id, own) in acknowledged.iter().filter(|(id, _)| of_round(id) >= oldest) {
        let stored = all.get(id).map_or(&[][..], Vec::as_slice);
        let first = stored.first().copied().unwrap_or(*own);
        assert!(of_round(id) == oldest || first == 0, "{id}: the first one is {first}");
        assert!(
            first + stored.len() >= *own,
            "{id}: {own} were acknowledged, {first} to {} are stored",
            stored.len()
        );
        assert!(stored.iter().copied().eq(first..first + stored.len()), "{id}: {stored:?}");
    }
}
