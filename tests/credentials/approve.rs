use crate::child::eventually;
use crate::site::{Site, auth, auth_from};
use crate::unknown::unknown;

const SQLITE: &str = "source = \"sqlite\"\ncache_time = \"1ms\"";

#[test]
fn a_rejected_id_becomes_a_known_one() {
    let site = Site::new(SQLITE);
    let server = site.start();
    let address = server.address();
    ["a", "b", "pump 7"].iter().for_each(|id| assert_eq!(auth(address, id), "auth_failure"));
    eventually("all are recorded", || unknown(&site).len() == 3);
    site.done(&["clients", "approve", "pump 7", "a"]);
    assert_eq!(unknown(&site), ["b 1 unknown"]);
    assert_eq!((auth(address, "a").as_str(), auth(address, "pump 7").as_str()), ("auth_ok", "auth_ok"));
    site.done(&["clients", "approve", "b", "--from", "127.0.0.2", "--from", "10.0.0.0/8"]);
    assert!(unknown(&site).is_empty());
    assert!(site.done(&["clients", "list", "--format", "csv"]).contains("b,true,,,127.0.0.2 10.0.0.0/8,"));
    assert_eq!(auth(address, "b"), "auth_failure");
    assert_eq!(auth_from("127.0.0.2", address, "b"), "auth_ok");
}

#[test]
fn an_id_that_cannot_be_approved_is_told_with_a_way_out_and_nothing_changes() {
    let site = Site::new(SQLITE);
    site.done(&["clients", "add", "off", "--disabled"]);
    site.done(&["clients", "add", "bound", "--from", "10.0.0.0/8"]);
    let server = site.start();
    ["a", "off", "bound"].iter().for_each(|id| assert_eq!(auth(server.address(), id), "auth_failure"));
    let expected = ["bound 1 elsewhere", "off 1 disabled", "a 1 unknown"];
    eventually("all are recorded", || unknown(&site) == expected);
    let (code, why) = site.refused(&["clients", "approve", "a", "off", "bound", "nobody"]);
    assert_eq!(code, 1, "{why}");
    for told in [
        "nothing was approved",
        "\"off\" exists already; `clients enable` enables it",
        "\"bound\" exists already; ",
        "\"nobody\" is not a rejected id; `clients unknown` prints them",
    ] {
        assert!(why.contains(told), "{told} is not in: {why}");
    }
    assert_eq!(unknown(&site), expected);
    assert_eq!(site.done(&["clients", "list"]).lines().count(), 3);
    assert_eq!(site.refused(&["clients", "approve"]).0, 64);
}

#[test]
fn an_id_that_came_from_elsewhere_and_was_removed_can_be_approved() {
    let site = Site::new(SQLITE);
    site.done(&["clients", "add", "a", "--from", "10.0.0.0/8"]);
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_failure");
    eventually("it is recorded", || unknown(&site) == ["a 1 elsewhere"]);
    site.done(&["clients", "remove", "a"]);
    site.done(&["clients", "approve", "a"]);
    assert!(unknown(&site).is_empty());
    eventually("it is seen", || auth(server.address(), "a") == "auth_ok");
}
