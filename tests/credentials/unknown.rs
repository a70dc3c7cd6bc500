use crate::child::{Server, eventually};
use crate::site::{Site, auth, one_shot};

/// Id, times and reason of the rejected ids, the newest first.
pub fn unknown(site: &Site) -> Vec<String> {
    let output = site.run(&["clients", "unknown", "--format", "csv"]);
    let csv = String::from_utf8(output.stdout).unwrap();
    let short = |line: &str| {
        let cells: Vec<_> = line.split(',').collect();
        [cells[0], cells[4], cells[5]].join(" ")
    };
    csv.lines().skip(1).map(short).collect()
}

fn end(mut server: Server) {
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn rejected_ids_are_counted_with_the_reason() {
    let site = Site::new("source = \"sqlite\"\ncache_time = \"0s\"");
    site.done(&["clients", "add", "off", "--disabled"]);
    site.done(&["clients", "add", "old", "--expires", "2020-01-01"]);
    let server = site.start();
    for id in ["stranger", "off", "old"] {
        assert_eq!(auth(server.address(), id), "auth_failure");
    }
    assert_eq!(one_shot(server.address(), "stranger"), "send_failure");
    let expected = ["stranger 2 unknown", "old 1 expired", "off 1 disabled"];
    eventually("all are kept", || unknown(&site) == expected);
    let table = site.done(&["clients", "unknown"]);
    assert!(table.starts_with("LAST ") && table.contains("127.0.0.1:"), "{table}");
    let ndjson = site.done(&["clients", "unknown", "--format", "ndjson"]);
    let first: serde_json::Value = serde_json::from_str(ndjson.lines().next().unwrap()).unwrap();
    assert_eq!((&first["id"], &first["times"]), (&"stranger".into(), &2.into()));
    // An id that may authenticate now is no longer a rejected one.
    site.done(&["clients", "add", "stranger"]);
    assert_eq!(unknown(&site), ["old 1 expired", "off 1 disabled"]);
    site.done(&["clients", "enable", "off"]);
    assert_eq!(unknown(&site), ["old 1 expired"]);
}

#[test]
fn of_many_the_newest_stay_also_when_the_server_stops() {
    let site = Site::with_store("sqlite", "clients = []\nmax_unknown = 3");
    let server = site.start();
    ["a", "b", "c", "d"].iter().for_each(|id| assert_eq!(auth(server.address(), id), "auth_failure"));
    end(server);
    assert_eq!(unknown(&site), ["d 1 unknown", "c 1 unknown", "b 1 unknown"]);
    let server = site.start();
    ["b", "e"].iter().for_each(|id| assert_eq!(auth(server.address(), id), "auth_failure"));
    end(server);
    assert_eq!(unknown(&site), ["e 1 unknown", "b 2 unknown", "d 1 unknown"]);
}

#[test]
fn with_zero_no_id_is_recorded() {
    let site = Site::with_store("sqlite", "clients = []\nmax_unknown = 0");
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_failure");
    end(server);
    assert!(unknown(&site).is_empty());
}
