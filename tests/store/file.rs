//! Files that cannot be used, and files to which something happens while the server runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use trap_server::config::{Config, StoreKind};
use trap_server::server::Server;
use trap_server::store::segments::segment::SCHEMA;

use crate::child::{self, CONFIG};
use crate::common::{self, TestServer, eventually, logs};
use crate::{open, pair, rows, segments, server};

/// Why a server does not start on the file in `folder`.
pub fn refusal(folder: &Path) -> String {
    let mut config = common::config("refused");
    config.store.kind = StoreKind::Sqlite;
    config.store.path = folder.into();
    let Err(err) = Server::bind(config) else { panic!("it starts") };
    err.to_string().replace(folder.to_str().unwrap(), "FOLDER")
}

async fn stored(server: &TestServer, data: &str) -> bool {
    server.authenticated("a").await.send(data.as_bytes()).await.is_ok()
}

/// SENDs fail for a while yet, and then one is stored.
pub async fn recovers(server: &TestServer, data: &str) {
    let mut device = server.authenticated("a").await;
    let since = Instant::now();
    while device.send(data.as_bytes()).await.is_err() {
        assert!(since.elapsed() < common::PATIENCE, "it does not recover");
    }
}

#[tokio::test]
async fn folders_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b/c");
    let server = server("folders", &deep, |_| {});
    assert!(stored(&server, "x").await);
    assert_eq!(rows(&deep), [pair("a", "x")]);
}

#[test]
fn a_segment_that_needs_an_operator_is_rejected_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages/00000000000000000007.db");
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, b"this is not a database, and it is long enough to be recognized").unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(
        refusal(folder.path()),
        "FOLDER/messages/00000000000000000007.db: not an SQLite database; move it away, or change `path`"
    );
    assert_eq!(fs::read(&path).unwrap(), before);

    fs::remove_file(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE other (x); INSERT INTO other VALUES (1)").unwrap();
    assert!(refusal(folder.path()).contains("an SQLite database of another program; move it away"));
    other.query_row("SELECT x FROM other", [], |row| row.get::<_, i64>(0)).unwrap();

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refusal(folder.path()).contains("cannot be opened"));

    fs::remove_dir(&path).unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let below_a_file = refusal(&folder.path().join("file"));
    assert!(below_a_file.contains("cannot create the folder"), "{below_a_file}");
}

#[test]
fn a_segment_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    server("newer", folder.path(), |_| {}).stop();
    let version = SCHEMA.version();
    let newer = version + 1;
    open(folder.path()).pragma_update(None, "user_version", newer).unwrap();
    let expected = format!(
        "FOLDER/messages/00000000000000000001.db: created by a newer trap-server (table version {newer}, supported \
         {version}); run that version, or change `path`"
    );
    assert_eq!(refusal(folder.path()), expected);
}

#[test]
fn a_folder_has_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let _first = server("first", folder.path(), |_| {});
    let refusal = refusal(folder.path());
    let pid = std::process::id();
    assert!(
        refusal.starts_with(&format!("FOLDER: in use by another trap-server (pid {pid} since 2")),
        "{refusal}"
    );
}

#[tokio::test]
async fn other_users_cannot_read_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = server("private", &data, |_| {});
    assert!(stored(&server, "x").await);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let messages = data.join("messages");
    assert_eq!([&data, &messages].map(|folder| mode(folder)), [0o700; 2]);
    for file in fs::read_dir(&messages).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_truncated_file_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("truncated", folder.path(), |_| {});
    let mut device = server.authenticated("a").await;
    for _ in 0..20 {
        device.send(&[b'x'; 10_000]).await.unwrap();
    }
    server.stop();
    let open = open(folder.path());
    open.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(open);
    let path = segments(folder.path()).pop().unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let refusal = refusal(folder.path());
    assert!(refusal.contains("damaged (") && refusal.contains(".recover"), "{refusal}");
}

#[test]
fn the_binary_says_so_and_exits_with_74() {
    let config = format!("{CONFIG}[store]\npath = \"config.toml\"\n");
    let output = child::run(Some(&config), &[]);
    assert_eq!(output.status.code(), Some(74));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("config.toml: cannot create the folder"), "{log}");
}

#[tokio::test]
async fn a_lock_of_another_program_is_waited_for_and_then_stores_fail_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let server = server("locked", folder.path(), |config| {
        config.store.lock_timeout = Duration::from_millis(20);
    });
    assert!(stored(&server, "before").await);
    let other = open(folder.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(!stored(&server, "during").await);
    assert!(!stored(&server, "during").await);
    other.execute_batch("COMMIT").unwrap();
    recovers(&server, "after").await;
    let data: Vec<_> = rows(folder.path()).into_iter().map(|(_, data)| data).collect();
    assert_eq!(data, ["before", "after"]);
    let path = folder.path().to_str().unwrap();
    let said = logs::lines(&[path, "fails: locked by another program"]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("store ERROR the store "), "{said:?}");
    assert!(said[0].ends_with("Until it works again, SENDs are answered send_failure"), "{said:?}");
    let over = || logs::lines(&[path, "works again after="]);
    eventually("the recovery is logged", || !over().is_empty()).await;
    assert!(over().len() == 1 && over()[0].ends_with("refused=2"), "{:?}", over());
}

#[tokio::test]
async fn a_server_starts_on_a_file_that_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    server("start", folder.path(), |_| {}).stop();
    let other = open(folder.path());
    other.execute_batch("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE").unwrap();
    let server = server("start", folder.path(), |config: &mut Config| {
        config.store.lock_timeout = Duration::from_millis(20);
    });
    assert!(!stored(&server, "during").await);
    drop(other);
    recovers(&server, "after").await;
    assert_eq!(rows(folder.path()), [pair("a", "after")]);
}
