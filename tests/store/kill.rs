//! The server is killed under full load, again and again, while segments are begun and sealed.

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

const ROUNDS: usize = 20;
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

async fn round(number: usize, folder: &Path) -> Vec<(String, usize)> {
    let (mut command, own_folder) = command(None, &[]);
    let config = format!("{CONFIG}[store]\npath = {folder:?}\nsegment_size = \"64KiB\"\n");
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
    let enough = 500 + number * 397;
    eventually("the load is on", || acknowledged.load(Ordering::SeqCst) > enough).await;
    server.signal("KILL");
    server.ended();
    assert_eq!(server.lines(" ERROR "), [""; 0]);
    devices.join_all().await
}

#[tokio::test]
async fn acknowledged_messages_are_stored_once_and_in_order_after_twenty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for number in 0..ROUNDS {
        acknowledged.extend(round(number, folder.path()).await);
    }
    let rows = rows(folder.path());
    for (id, own) in acknowledged {
        let stored: Vec<usize> =
            rows.iter().filter(|(client, _)| *client == id).map(|(_, data)| data.parse().unwrap()).collect();
        // What was not acknowledged may be there too, but not out of order.
        assert!(stored.len() >= own, "{id}: {own} were acknowledged, {} are stored", stored.len());
        assert!(stored.iter().copied().eq(0..stored.len()), "{id}: {stored:?}");
    }
}
