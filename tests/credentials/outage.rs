use std::fs;
use std::thread;

use rusqlite::Connection;

use crate::child::{Server, eventually};
use crate::site::{Site, auth};
use crate::unknown::unknown;

/// Cached results expire immediately. A look-up has much more time than it takes, so that a busy machine is not an outage.
pub const OLD_AT_ONCE: &str = "cache_time = \"1ms\"\ntimeout = \"5s\"";

fn site() -> Site {
    let site = Site::new(&format!("source = \"sqlite\"\n{OLD_AT_ONCE}"));
    ["a", "b"].iter().for_each(|id| drop(site.done(&["clients", "add", id])));
    site
}

pub fn assert_one_outage(server: &Server) {
    for (begin, count) in [("the look-up of ids fails: ", 1), ("the look-up of ids works again", 1)] {
        server.await_line(begin);
        assert_eq!(server.lines(begin).len(), count, "{:?}", server.lines("the look-up"));
    }
}

/// These ids are answered so. Each of them may take its whole time, but not one after the other.
pub fn assert_answers<const N: usize>(server: &Server, answers: [(&str, &str); N]) {
    let address = server.address();
    let got = thread::scope(|scope| {
        let asking = answers.map(|(id, _)| scope.spawn(move || auth(address, id)));
        asking.map(|answer| answer.join().unwrap())
    });
    assert_eq!(got.each_ref().map(String::as_str), answers.map(|(_, answer)| answer), "{answers:?}");
}

/// What is there now is gone: something else takes its place.
fn replace(site: &Site, by: &str) {
    for beside in ["-wal", "-shm"] {
        let _ = fs::remove_file(site.data(format!("state.db{beside}")));
    }
    fs::rename(site.data(by), site.data("state.db")).unwrap();
}

#[test]
fn while_another_program_locks_the_file_only_what_is_remembered_goes_on() {
    let site = site();
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_ok");
    let file = Connection::open(site.data("state.db")).unwrap();
    file.execute("VACUUM INTO ?", [site.data("copy.db").to_str().unwrap()]).unwrap();
    let other = Connection::open(site.data("copy.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    replace(&site, "copy.db");
    server.await_line("ERROR trap_server::logging::outage] the state ");
    for _ in 0..2 {
        assert_answers(&server, [("b", "auth_failure"), ("stranger", "auth_failure"), ("a", "auth_ok")]);
    }
    server.await_line("detail=\"the id could not be looked up: ");
    other.execute_batch("COMMIT").unwrap();
    eventually("the lock is gone", || auth(server.address(), "b") == "auth_ok");
    assert_one_outage(&server);
    assert!(unknown(&site).is_empty(), "the device was not at fault");
}

#[test]
fn a_file_that_was_moved_away_is_written_again() {
    let site = site();
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_ok");
    fs::rename(site.data("state.db"), site.data("away.db")).unwrap();
    server.await_line("the file was moved or removed; the server has written it again");
    eventually("it is used", || auth(server.address(), "b") == "auth_ok");
    site.done(&["clients", "add", "c"]);
    site.done(&["clients", "remove", "a"]);
    eventually("the changes are found", || auth(server.address(), "c") == "auth_ok");
    assert_eq!(auth(server.address(), "a"), "auth_failure");
}

#[test]
fn a_server_starts_although_the_file_is_locked_and_waits_for_it() {
    let site = site();
    let file = Connection::open(site.data("state.db")).unwrap();
    file.execute_batch("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE; COMMIT").unwrap();
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_failure");
    drop(file);
    eventually("the lock is gone", || auth(server.address(), "a") == "auth_ok");
    assert_one_outage(&server);
}
