//! A disk that is full, and one that may not be written. Each is a file system of its own, which takes root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::{TestServer, eventually, logs};
use crate::file::{recovers, refusal};
use crate::{rows, server};

/// A file system in memory. Dropped, it is gone.
struct Disk(TempDir);

impl Disk {
    /// Fails with the error of the machine if that does not allow it.
    fn new(size: &str) -> Result<Self, String> {
        let disk = Self(tempfile::tempdir().unwrap());
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", disk.path()])?;
        Ok(disk)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.0.path().into()
    }

    fn remount(&self, option: &str) {
        run("mount", &["-o", &format!("remount,{option}"), self.path()]).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Files may still be open.
        let _ = run("umount", &["--lazy", self.path()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|err| format!("{program}: {err}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// A disk, unless this machine lets us have none; the check of a change must.
fn disk(size: &str) -> Option<Disk> {
    match Disk::new(size) {
        Ok(disk) => Some(disk),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "this test needs a file system of its own: {why}");
            eprintln!("skipped, for this test needs a file system of its own: {why}");
            None
        }
    }
}

/// Sends until the disk is full. What was acknowledged.
async fn fill(server: &TestServer) -> Vec<String> {
    let mut device = server.authenticated("a").await;
    let mut acknowledged = Vec::new();
    loop {
        let data = format!("{:01000}", acknowledged.len());
        if device.send(data.as_bytes()).await.is_err() {
            return acknowledged;
        }
        acknowledged.push(data);
    }
}

fn data(folder: &Path) -> Vec<String> {
    rows(folder).into_iter().map(|(_, data)| data).collect()
}

#[tokio::test]
async fn a_full_disk_loses_no_acknowledged_message_and_is_used_again_when_there_is_room() {
    let Some(disk) = disk("1m") else { return };
    let server = server("full", &disk.folder(), |_| {});
    let mut acknowledged = fill(&server).await;
    assert!(acknowledged.len() > 50);
    let mut device = server.authenticated("a").await;
    assert!(device.send(&[b'x'; 10_000]).await.is_err());
    device.ping().await.unwrap();
    let said = logs::lines(&[disk.path(), "fails: the disk is full; free some space"]);
    assert_eq!(said.len(), 1, "{said:?}");

    disk.remount("size=4m");
    device.send(b"again").await.unwrap();
    acknowledged.push("again".into());
    assert_eq!(data(&disk.folder()), acknowledged);
    eventually("the recovery is logged", || logs::has(&[disk.path(), "works again after="])).await;
    server.stop();
    assert_eq!(data(&disk.folder()), acknowledged);
}

#[tokio::test]
async fn a_server_starts_on_a_full_disk_and_waits_for_room() {
    let Some(disk) = disk("256k") else { return };
    let first = server("start-full", &disk.folder(), |_| {});
    let mut acknowledged = fill(&first).await;
    first.stop();
    // Nothing is left, not even for what SQLite needs to open a file.
    let rest = disk.folder().join("rest");
    let _ = fs::write(&rest, vec![0; 1 << 20]);
    let second = server("start-full", &disk.folder(), |_| {});
    let mut device = second.authenticated("a").await;
    // The log may have room for a little.
    assert!(device.send(&[b'x'; 60_000]).await.is_err());
    fs::remove_file(rest).unwrap();
    disk.remount("size=1m");
    recovers(&second, "again").await;
    acknowledged.push("again".into());
    assert_eq!(data(&disk.folder()), acknowledged);
}

#[tokio::test]
async fn a_disk_that_is_read_only_is_refused_until_it_is_not() {
    let Some(disk) = disk("2m") else { return };
    let first = server("read-only", &disk.folder(), |_| {});
    first.authenticated("a").await.send(b"before").await.unwrap();
    first.stop();
    disk.remount("ro");
    let refused = refusal(&disk.folder());
    assert!(
        refused.contains("cannot be opened (") && refused.contains("whether the disk is read-only"),
        "{refused}"
    );
    fs::create_dir(disk.folder().join("new")).unwrap_err();
    assert!(refusal(&disk.folder().join("new")).contains("cannot create the folder"));
    disk.remount("rw");
    let second = server("read-only", &disk.folder(), |_| {});
    second.authenticated("a").await.send(b"after").await.unwrap();
    assert_eq!(data(&disk.folder()), ["before", "after"]);
}
