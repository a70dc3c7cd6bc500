use crate::child::eventually;
use crate::site::{Site, auth, one_shot};

/// Cached results expire immediately.
const SQLITE: &str = "source = \"sqlite\"\ncache_time = \"1ms\"";

#[test]
fn a_running_server_sees_what_is_added_switched_and_removed() {
    let site = Site::new(SQLITE);
    let server = site.start();
    let address = server.address();
    let answers = |answer: &str| eventually(answer, || auth(address, "a") == answer);
    assert_eq!(auth(address, "a"), "auth_failure");
    site.done(&["clients", "add", "a"]);
    answers("auth_ok");
    assert_eq!(one_shot(address, "a"), "send_ok");
    site.done(&["clients", "disable", "a"]);
    answers("auth_failure");
    assert_eq!(one_shot(address, "a"), "send_failure");
    site.done(&["clients", "enable", "a"]);
    answers("auth_ok");
    site.done(&["clients", "remove", "a"]);
    answers("auth_failure");
    server.await_line("detail=\"the id is unknown\"");
    server.await_line("detail=\"the id is disabled\"");
}

#[test]
fn an_id_expires_while_the_server_remembers_it() {
    let site = Site::new("source = \"sqlite\"\ncache_time = \"1h\"");
    let server = site.start();
    site.done(&["clients", "add", "short", "--expires", "in 2s"]);
    site.done(&["clients", "add", "long", "--expires", "in 1day"]);
    site.done(&["clients", "add", "over", "--expires", "2020-01-01"]);
    assert_eq!(auth(server.address(), "long"), "auth_ok");
    assert_eq!(auth(server.address(), "over"), "auth_failure");
    server.await_line("detail=\"the id expired at 2020-01-01T00:00:00Z");
    eventually("it expires", || auth(server.address(), "short") == "auth_failure");
    eventually("each is named", || server.lines("detail=\"the id expired at").len() == 2);
    assert_eq!(auth(server.address(), "long"), "auth_ok");
}

#[test]
fn a_cached_id_is_not_looked_up_again() {
    let site = Site::new("source = \"sqlite\"\ncache_time = \"1h\"");
    site.done(&["clients", "add", "a"]);
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_ok");
    site.done(&["clients", "disable", "a"]);
    assert_eq!(auth(server.address(), "a"), "auth_ok");
}

#[test]
fn ids_and_messages_are_in_files_of_their_own() {
    let site = Site::with_store("sqlite", SQLITE);
    let server = site.start();
    site.done(&["clients", "add", "a"]);
    assert_eq!(one_shot(server.address(), "a"), "send_ok");
    assert_eq!(one_shot(server.address(), "b"), "send_failure");
    let file = rusqlite::Connection::open(site.data("messages/00000000000000000001.db")).unwrap();
    let client: String = file.query_row("SELECT client FROM message", [], |row| row.get(0)).unwrap();
    assert_eq!(client, "a");
}
