//! The store `sqlite`, through the socket: what was answered `send_ok` is in the file, whatever happens to the server, to the
//! disk, and to the file.

#[path = "../process/child.rs"]
#[allow(dead_code, reason = "the tests of the process use the rest")]
mod child;
#[path = "../common/mod.rs"]
mod common;

mod disk;
mod file;
mod kill;
mod lost;
mod retention;
mod rows;
#[cfg(feature = "faults")]
mod stall;
#[cfg(feature = "faults")]
mod writer;

use std::path::{Path, PathBuf};

use common::TestServer;
use rusqlite::Connection;
use trap_server::config::{Config, StoreKind};
use trap_server::store::segments::folder::Folder;
use trap_server::store::segments::segment;

/// A server whose store is in `folder`.
fn server(listener: &str, folder: &Path, change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(listener, |config| {
        config.store.kind = StoreKind::Sqlite;
        config.store.path = folder.into();
        change(config);
    })
}

/// The segments of the store in `folder`, oldest first.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let segments = Folder::of(folder).list().unwrap();
    segments.into_iter().map(|segment| segment.path).collect()
}

/// The newest segment, for tests that read it.
fn open(folder: &Path) -> Connection {
    Connection::open(segments(folder).last().unwrap()).unwrap()
}

/// Client and data of each row, in the order of their ids.
fn rows(folder: &Path) -> Vec<(String, String)> {
    segments(folder).iter().flat_map(|segment| rows_of(segment)).collect()
}

fn rows_of(segment: &Path) -> Vec<(String, String)> {
    let connection = segment::open_read_only(segment).unwrap();
    let mut all = connection.prepare("SELECT client, CAST(data AS TEXT) FROM message ORDER BY id").unwrap();
    all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn pair(client: &str, data: &str) -> (String, String) {
    (client.into(), data.into())
}
