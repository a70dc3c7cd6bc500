use std::fs;
use std::process::Stdio;
use std::time::Duration;

use trap_server::database::{self, Lock, Options, STATE};

use crate::child::PATIENCE;
use crate::site::{Site, auth, text};

const SQLITE: &str = "source = \"sqlite\"";

#[test]
fn ids_are_added_listed_switched_and_removed() {
    let site = Site::new(SQLITE);
    site.done(&["clients", "add", "pump 7", "--note", "north, \"old\"", "--expires", "2026-12-31"]);
    site.done(&["clients", "add", "gate", "--disabled"]);
    let table = site.done(&["clients", "list"]);
    let lines: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines[0], ["ID", "STATE", "EXPIRES", "NETWORKS", "NOTE"]);
    assert_eq!(lines[1], ["gate", "disabled"]);
    assert!(lines[2].starts_with(&["pump", "7"]) && lines[2].contains(&"2026-12-31T00:00:00Z"), "{table}");
    let csv = site.done(&["clients", "list", "--format", "csv"]);
    assert!(csv.starts_with("id,enabled,note,expires_at,networks,created_at\ngate,false,,,,20"), "{csv}");
    assert!(csv.contains("\npump 7,true,\"north, \"\"old\"\"\",2026-12-31T00:00:00Z,,20"), "{csv}");
    let ndjson = site.done(&["clients", "list", "--format", "ndjson"]);
    let gate: serde_json::Value = serde_json::from_str(ndjson.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&gate["id"], &gate["enabled"], &gate["expires_at"]),
        (&"gate".into(), &false.into(), &().into())
    );
    site.done(&["clients", "enable", "gate"]);
    site.done(&["clients", "disable", "pump 7"]);
    let csv = site.done(&["clients", "list", "--format", "csv"]);
    assert!(csv.contains("gate,true,") && csv.contains("pump 7,false,"), "{csv}");
    site.done(&["clients", "remove", "pump 7"]);
    assert_eq!(site.done(&["clients", "list"]).lines().count(), 2);
}

#[test]
fn an_impossible_change_is_reported_with_a_correction() {
    let site = Site::new(SQLITE);
    site.done(&["clients", "add", "a", "--note", "first"]);
    let (code, why) = site.refused(&["clients", "add", "a"]);
    assert_eq!(code, 1);
    assert!(why.contains("\"a\" exists already") && why.contains("clients import"), "{why}");
    for action in ["remove", "enable", "disable"] {
        let (code, why) = site.refused(&["clients", action, "b"]);
        assert_eq!((code, why.contains("\"b\" does not exist")), (1, true), "{action}: {why}");
    }
    for (arguments, why) in [
        (&["clients", "add", ""][..], "1 to 255 bytes"),
        (&["clients", "add", "x\ny"], "control character"),
        (&["clients", "add", "b", "--expires", "soon"], "2026-12-31"),
        (&["clients", "add", "b", "--note", "two\nlines"], "a line"),
        (&["clients", "add", "b", "--from", "10.0.0.0/33"], "the limit of this kind of address is 32 bits"),
        (&["clients", "add", "b", "--from", "all"], "is neither an address such as"),
    ] {
        let (code, said) = site.refused(arguments);
        assert_eq!((code, said.contains(why)), (64, true), "{said}");
    }
    assert!(site.done(&["clients", "list"]).contains("first"));
}

#[test]
fn with_a_list_in_the_config_it_says_where_the_ids_stand() {
    let site = Site::new("clients = [\"client0012\", \"dev-*\"]");
    assert_eq!(site.done(&["clients", "list"]), "ID\nclient0012\ndev-*\n");
    for action in [
        &["add", "a"][..],
        &["remove", "a"],
        &["enable", "a"],
        &["disable", "a"],
        &["import", "-"],
        &["approve", "a"],
    ] {
        let (code, why) = site.refused(&[&["clients"], action].concat());
        assert_eq!((code, why.contains("`clients` of [credentials]")), (64, true), "{action:?}: {why}");
    }
    let (code, why) = site.refused(&["clients", "unknown"]);
    assert_eq!((code, why.contains("rejected ids are not recorded")), (64, true), "{why}");
    assert!(!site.data("state.db").exists());
}

#[test]
fn a_missing_or_foreign_file_is_reported_and_not_changed() {
    let site = Site::new(SQLITE);
    for action in ["list", "unknown"] {
        let (code, why) = site.refused(&["clients", action]);
        assert_eq!((code, why.contains("state.db: cannot be opened")), (74, true), "{why}");
    }
    assert!(!site.data("state.db").exists());
    fs::create_dir(site.path("data")).unwrap();
    fs::write(site.data("state.db"), "Dear diary, ".repeat(100)).unwrap();
    for arguments in [&["clients", "list"][..], &["clients", "add", "a"], &["--check"], &[]] {
        let (code, why) = site.refused(arguments);
        assert_eq!((code, why.contains("not an SQLite database")), (74, true), "{arguments:?}: {why}");
    }
    assert_eq!(fs::read_to_string(site.data("state.db")).unwrap(), "Dear diary, ".repeat(100));
}

#[test]
fn nothing_is_created_where_no_server_has_its_data() {
    let site = Site::new(SQLITE);
    fs::create_dir(site.path("data")).unwrap();
    fs::write(site.data("thesis.doc"), "").unwrap();
    fs::create_dir(site.data("lost+found")).unwrap();
    let (code, why) = site.refused(&["clients", "add", "a"]);
    let place = site.path("data").display().to_string();
    assert!(
        code == 74 && why.contains("not the data folder of a trap-server") && why.contains(&place),
        "{why}"
    );
    fs::write(site.data("trap.db"), "").unwrap();
    let (code, why) = site.refused(&["clients", "add", "a"]);
    assert!(
        code == 74 && why.contains("trap.db: the file of an older version; start the server once"),
        "{why}"
    );
    assert!(!site.data("state.db").exists());
    ["thesis.doc", "trap.db"].iter().for_each(|name| fs::remove_file(site.data(name)).unwrap());
    site.done(&["clients", "add", "a"]);
}

#[test]
fn check_says_what_is_there() {
    let site = Site::new(SQLITE);
    let missing = "state.db: does not exist yet; the server creates it at its start\n";
    assert!(site.done(&["--check"]).contains(missing));
    assert!(!site.data("state.db").exists());
    site.done(&["clients", "add", "a"]);
    assert!(site.done(&["--check"]).contains("state.db: 1 client\n"));
    site.done(&["clients", "add", "b", "--disabled"]);
    assert!(site.done(&["--check"]).contains("state.db: 2 clients, 1 disabled\n"));
    assert!(Site::new("clients = [\"*\"]").done(&["--check"]).contains("list: 1 client in the config\n"));
}

#[test]
fn check_says_where_rejected_ids_are_recorded() {
    let rejected = |site: &Site| {
        let checked = site.done(&["--check"]);
        let line = checked.lines().find_map(|line| line.strip_prefix("  rejected ids        "));
        line.unwrap().to_owned()
    };
    let site = Site::with_store("sqlite", "clients = []");
    let path = site.data("state.db").display().to_string();
    assert_eq!(
        rejected(&site),
        format!("sqlite {path}: does not exist yet; the server creates it at its start")
    );
    let mut server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_failure");
    server.signal("TERM");
    server.ended();
    assert_eq!(rejected(&site), format!("sqlite {path}: 1 recorded"));
    let site = Site::new(SQLITE);
    site.done(&["clients", "add", "a"]);
    assert!(rejected(&site).ends_with("state.db: 0 recorded"));
    let none = Site::new("clients = [\"*\"]");
    assert_eq!(rejected(&none), "not recorded, because no database is used; the log has them");
    let zero = Site::with_store("sqlite", "clients = []\nmax_unknown = 0");
    assert_eq!(rejected(&zero), "not recorded, because `max_unknown` is 0; the log has them");
}

#[test]
fn a_command_waits_for_a_server_that_is_about_to_create_the_file() {
    let site = Site::new(SQLITE);
    let lock = Lock::take(&site.path("data")).unwrap();
    let command = |arguments| site.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut add = command(&["clients", "add", "a"]).unwrap();
    let mut list = command(&["clients", "list"]).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!([add.try_wait().unwrap(), list.try_wait().unwrap()], [None, None]);
    // First without its tables, as for a moment.
    fs::write(site.data("state.db"), "").unwrap();
    let options = Options { path: site.data("state.db"), full: false, lock_timeout: PATIENCE };
    database::open(&STATE, &options).unwrap();
    assert!(add.wait().unwrap().success() && list.wait().unwrap().success());
    assert!(site.done(&["clients", "list"]).contains('a'));
    fs::remove_file(site.data("state.db")).unwrap();
    let (code, why) = site.refused(&["clients", "list"]);
    assert!(code == 74 && why.contains("state.db: missing, although a trap-server has its folder"), "{why}");
    drop(lock);
}

#[test]
fn a_closed_pipe_is_not_an_error_and_a_full_disk_is_one() {
    let site = Site::new(SQLITE);
    let ids: String = (0..5000).map(|number| format!("{number:0>100}\n")).collect();
    assert_eq!(site.run_with(&["clients", "import", "-"], &format!("id\n{ids}")).status.code(), Some(0));
    assert_eq!(site.done(&["clients", "list"]).lines().count(), 5001);
    let (mut command, mut full) = (site.command(&["clients", "list"]), site.command(&["clients", "list"]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let device = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = full.stdout(device).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(74), "{}", text(&output.stderr));
}

#[cfg(not(feature = "postgres"))]
#[test]
fn a_server_that_was_built_without_postgres_says_so() {
    let site = Site::new("source = \"postgres\"");
    for arguments in [&[][..], &["--check"], &["clients", "list"], &["clients", "add", "a"]] {
        let (code, why) = site.refused(arguments);
        assert_eq!((code, why.contains("built without PostgreSQL")), (64, true), "{arguments:?}: {why}");
    }
}
