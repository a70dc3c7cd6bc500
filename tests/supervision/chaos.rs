//! Panics at every point, one after the other, while devices are at work: only sessions that panic themselves end, and
//! nothing that was acknowledged is lost.
//!
//! `TRAP_INJECTIONS=10000` makes it the long run.

use std::collections::HashSet;
use std::env;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinSet;
use trap_server::client::{Device, Error};
use trap_server::config::{Source, StoreKind};
use trap_server::faults::{Fault, Point};
use trap_server::protocol::Reply;
use trap_server::server::Server;
use trap_server::stats::Ended;
use trap_server::store::segments::{folder::Folder, segment};

use crate::common::{self, PATIENCE, TestServer, eventually};

const DEVICES: u64 = 16;

/// What the devices share.
#[derive(Default)]
struct Shared {
    enough: AtomicBool,
    /// Connections that ended without being asked to.
    lost: AtomicU64,
    /// Rounds of all devices.
    rounds: AtomicU64,
}

fn injections() -> usize {
    env::var("TRAP_INJECTIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

/// Works until it is enough. Returns the messages that were acknowledged.
async fn work(address: SocketAddr, id: String, shared: Arc<Shared>) -> Vec<String> {
    let mut stored = Vec::new();
    let mut number = 0;
    while !shared.enough.load(Ordering::Relaxed) {
        if connected(address, &id, &shared, &mut number, &mut stored).await.is_err() {
            shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
    stored
}

/// One connection, until it is lost or it is enough.
async fn connected(
    address: SocketAddr,
    id: &str,
    shared: &Shared,
    number: &mut u64,
    stored: &mut Vec<String>,
) -> Result<(), Error> {
    let mut device = Device::connect_within(PATIENCE, address).await?;
    device.auth(id).await?;
    while !shared.enough.load(Ordering::Relaxed) {
        device.ping().await?;
        *number += 1;
        let message = format!("{id} {number}");
        match device.send(message.as_bytes()).await {
            Ok(()) => stored.push(message),
            // Its transaction was rolled back: the device knows.
            Err(Error::Refused(Reply::SendFailure)) => {}
            Err(err) => return Err(err),
        }
        shared.rounds.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Ids that are rejected, taken over and looked up, so that every part has something to do.
async fn newcomers(address: SocketAddr, shared: Arc<Shared>) {
    while !shared.enough.load(Ordering::Relaxed) {
        for id in ["nobody", "device newcomer", "device newcomer"] {
            let Ok(mut device) = Device::connect_within(PATIENCE, address).await else { continue };
            let _ = device.auth(id).await;
        }
    }
}

fn server(folder: &Path) -> TestServer {
    let mut config = common::config("chaos");
    config.credentials.clients = ["device *", "the last one"].map(|id| id.try_into().unwrap()).into();
    config.credentials.source = Source::List;
    config.store.kind = StoreKind::Sqlite;
    config.store.path = folder.into();
    config.store.segment_size = 256 << 10;
    config.supervisor.max_restarts = 1_000_000;
    crate::hide_injected_panics();
    TestServer::run("chaos", Server::bind(config).unwrap())
}

/// A point, different each time, and whether it ends a session.
fn point(step: usize) -> (Point, bool) {
    // A step that shares no factor with the number of points.
    let point = Point::ALL[step * 7 % Point::ALL.len()];
    (point, matches!(point, Point::Session | Point::Frame))
}

#[tokio::test]
async fn panics_everywhere_end_only_the_sessions_that_panic() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let shared = Arc::new(Shared::default());
    let mut devices = JoinSet::new();
    for number in 0..DEVICES {
        devices.spawn(work(server.address, format!("device {number}"), Arc::clone(&shared)));
    }
    let visitors = tokio::spawn(newcomers(server.address, Arc::clone(&shared)));
    let mut sessions = 0;
    for step in 0..injections() {
        let (point, ends_session) = point(step);
        sessions += u64::from(ends_session);
        server.faults.set(point, Fault::Panic);
        eventually("the fault strikes", || !server.faults.is_set(point)).await;
        let before = shared.rounds.load(Ordering::Relaxed);
        eventually("devices are served", || shared.rounds.load(Ordering::Relaxed) > before + 2).await;
    }
    shared.enough.store(true, Ordering::Relaxed);
    let stored: Vec<String> = devices.join_all().await.into_iter().flatten().collect();
    visitors.await.unwrap();
    assert_eq!(server.totals().ended(Ended::Crashed), sessions);
    let lost = shared.lost.load(Ordering::Relaxed);
    assert!(lost <= sessions, "{lost} connections were lost, {sessions} sessions panicked");
    server.assert_nothing_is_left().await;
    drop(server);
    assert_all_stored(folder.path(), &stored);
}

/// Each message that was acknowledged is stored.
#[track_caller]
fn assert_all_stored(folder: &Path, acknowledged: &[String]) {
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    let segments = Folder::of(folder).list().unwrap();
    let found: HashSet<String> = segments.iter().flat_map(|segment| messages(&segment.path)).collect();
    let missing: Vec<_> = acknowledged.iter().filter(|message| !found.contains(*message)).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), acknowledged.len());
}

fn messages(path: &Path) -> Vec<String> {
    let connection = segment::open_read_only(path).unwrap();
    let mut all = connection.prepare("SELECT CAST(data AS TEXT) FROM message").unwrap();
    all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}
