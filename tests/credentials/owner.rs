//! Commands of root before the first start of a server that is not root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::process::{Command, Stdio};

use crate::child::Server;
use crate::site::{Site, auth};

/// The user `nobody`.
const USER: u32 = 65534;

/// Why this machine cannot run it.
fn obstacle(site: &Site) -> Option<&'static str> {
    if fs::metadata(site.path("")).unwrap().uid() != 0 {
        return Some("the test needs root");
    }
    let is_missing = Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_err();
    assert!(!(is_missing && std::env::var("CI").is_ok_and(|ci| ci == "true")), "there is no setpriv");
    is_missing.then_some("the test needs setpriv")
}

#[test]
fn what_root_creates_before_the_first_start_is_the_servers() {
    let site = Site::with_store("sqlite", "source = \"sqlite\"");
    if let Some(why) = obstacle(&site) {
        eprintln!("skipped: {why}");
        return;
    }
    // The service's own folder, as a package makes it. The binary is where that user can read it.
    chown(site.path(""), Some(USER), Some(USER)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_trap-server"), site.path("trap-server")).unwrap();
    site.done(&["clients", "add", "pump"]);
    let owner = |path| fs::metadata(path).unwrap().uid();
    assert_eq!([owner(site.path("data")), owner(site.data("state.db"))], [USER; 2]);
    let id = USER.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(site.path("trap-server"));
    command.current_dir(site.path("")).env_remove("RUST_LOG");
    let mut server = Server::of(command, tempfile::tempdir().unwrap());
    assert_eq!(auth(server.address(), "pump"), "auth_ok");
    assert_eq!(auth(server.address(), "gate"), "auth_failure");
    // Also while it runs.
    site.done(&["clients", "add", "gate"]);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    assert_eq!(server.lines(" ERROR "), [""; 0]);
}
