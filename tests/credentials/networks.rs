use std::fs;

use crate::child::eventually;
use crate::site::{Site, auth, auth_from, one_shot};
use crate::unknown::unknown;

const SQLITE: &str = "source = \"sqlite\"";
const CACHED: &str = "source = \"sqlite\"\ncache_time = \"1h\"";

/// Id and networks of each row.
fn networks(site: &Site) -> Vec<String> {
    let csv = site.done(&["clients", "list", "--format", "csv"]);
    let short = |line: &str| {
        let cells: Vec<_> = line.split(',').collect();
        format!("{}: {}", cells[0], cells[4])
    };
    csv.lines().skip(1).map(short).collect()
}

#[test]
fn an_id_is_accepted_from_its_networks_alone_through_the_cache_too() {
    let site = Site::new(CACHED);
    site.done(&["clients", "add", "here", "--from", "10.0.0.0/8", "--from", "127.0.0.1"]);
    site.done(&["clients", "add", "there", "--from", "10.0.0.0/8"]);
    site.done(&["clients", "add", "anywhere"]);
    let server = site.start();
    let address = server.address();
    for _ in 0..2 {
        assert_eq!(auth(address, "here"), "auth_ok");
        assert_eq!(auth_from("127.0.0.2", address, "here"), "auth_failure");
        assert_eq!(auth_from("127.0.0.2", address, "anywhere"), "auth_ok");
        assert_eq!(auth(address, "there"), "auth_failure");
    }
    assert_eq!(one_shot(address, "here"), "send_ok");
    assert_eq!(one_shot(address, "there"), "send_failure");
    let line = server.await_line("detail=\"the id may not come from this address\"");
    assert!(line.contains("reason=auth_failure") && line.contains("client=\"here\""), "{line}");
    eventually("both are recorded", || unknown(&site) == ["there 3 elsewhere", "here 2 elsewhere"]);
}

#[test]
fn an_id_that_came_from_elsewhere_stays_recorded_until_its_networks_change() {
    let site = Site::new(SQLITE);
    ["a", "b"].iter().for_each(|id| drop(site.done(&["clients", "add", id, "--from", "10.0.0.0/8"])));
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_failure");
    assert_eq!(auth(server.address(), "b"), "auth_failure");
    let expected = ["b 1 elsewhere", "a 1 elsewhere"];
    eventually("both are recorded", || unknown(&site) == expected);
    site.done(&["clients", "add", "c"]);
    site.done(&["clients", "enable", "a"]);
    site.run_with(&["clients", "import", "-"], "id,note\na,north\n");
    assert_eq!(unknown(&site), expected);
    site.run_with(&["clients", "import", "-"], "id,networks\na,10.0.0.0/8 127.0.0.0/8\n");
    assert_eq!(unknown(&site), ["b 1 elsewhere"]);
}

#[test]
fn networks_are_listed_exported_and_imported() {
    let (site, other) = (Site::new(SQLITE), Site::new(SQLITE));
    site.done(&["clients", "add", "a", "--from", "10.1.2.3/8", "--from", "2001:DB8::/32", "--note", "north"]);
    site.done(&["clients", "add", "b", "--from", "192.0.2.7/32"]);
    site.done(&["clients", "add", "c"]);
    let expected = ["a: 10.0.0.0/8 2001:db8::/32", "b: 192.0.2.7", "c: "];
    assert_eq!(networks(&site), expected);
    let table = site.done(&["clients", "list"]);
    assert!(
        table.contains("10.0.0.0/8 2001:db8::/32  north\n") && table.contains("  192.0.2.7\n"),
        "{table}"
    );
    let ndjson = site.done(&["clients", "list", "--format", "ndjson"]);
    let rows: Vec<serde_json::Value> = ndjson.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(rows[0]["networks"], serde_json::json!(["10.0.0.0/8", "2001:db8::/32"]));
    assert_eq!(rows[2]["networks"], serde_json::json!([]));
    fs::write(other.path("ids.csv"), site.done(&["clients", "list", "--format", "csv"])).unwrap();
    other.done(&["clients", "import", "ids.csv"]);
    assert_eq!(networks(&other), expected);
    // A missing column keeps them, an empty cell removes them.
    other.run_with(&["clients", "import", "-"], "id,enabled\na,true\n");
    other.run_with(&["clients", "import", "-"], "id,networks\nb,\nc,fe80::/10\n");
    assert_eq!(networks(&other), ["a: 10.0.0.0/8 2001:db8::/32", "b: ", "c: fe80::/10"]);
}

#[test]
fn a_mistake_in_a_network_imports_nothing() {
    let site = Site::new(SQLITE);
    fs::write(site.path("ids.csv"), "id,networks\na,10.0.0.0/8\nb,10.0.0.0/33\n").unwrap();
    let (code, why) = site.refused(&["clients", "import", "ids.csv"]);
    let told = "ids.csv:3: `networks` must be addresses or networks with a space between two of them";
    assert_eq!((code, why.contains(told)), (64, true), "{why}");
    assert!(networks(&site).is_empty());
}

/// Whatever it was meant to be, it was meant to keep somebody out.
#[test]
fn networks_that_cannot_be_read_admit_nobody() {
    let site = Site::new(SQLITE);
    site.done(&["clients", "add", "a"]);
    let file = rusqlite::Connection::open(site.data("state.db")).unwrap();
    file.execute("UPDATE client SET networks = '127.0.0.0/8;10.0.0.0/8'", []).unwrap();
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_failure");
    server.await_line("detail=\"the id may not come from this address\"");
    assert_eq!(networks(&site), ["a: 127.0.0.0/8;10.0.0.0/8"]);
}

#[test]
fn entries_of_the_config_have_networks_too() {
    let clients = "clients = [\"here from 10.0.0.0/8 127.0.0.1\", \"there-* from 10.0.0.0/8\", \"*\"]";
    let site = Site::with_store("sqlite", clients);
    assert!(
        site.done(&["clients", "list"])
            .contains("\nhere from 10.0.0.0/8 127.0.0.1\nthere-* from 10.0.0.0/8\n*\n")
    );
    let csv = site.done(&["clients", "list", "--format", "csv"]);
    assert_eq!(csv, "id,networks\nhere,10.0.0.0/8 127.0.0.1\nthere-*,10.0.0.0/8\n*,\n");
    let ndjson = site.done(&["clients", "list", "--format", "ndjson"]);
    assert!(ndjson.contains("{\"id\":\"there-*\",\"networks\":[\"10.0.0.0/8\"]}\n"), "{ndjson}");
    let server = site.start();
    let address = server.address();
    assert_eq!(auth(address, "here"), "auth_ok");
    assert_eq!(auth_from("127.0.0.2", address, "here"), "auth_failure");
    assert_eq!(auth(address, "there-1"), "auth_failure");
    assert_eq!(one_shot(address, "there-1"), "send_failure");
    assert_eq!(auth_from("127.0.0.2", address, "x"), "auth_ok");
    eventually("both are recorded", || unknown(&site) == ["there-1 2 elsewhere", "here 1 elsewhere"]);
    let (code, why) = Site::new("clients = [\"a from 10.0.0.0/33\"]").refused(&["--check"]);
    assert_eq!((code, why.contains("expected networks behind `from`")), (64, true), "{why}");
}
