//! The file of the store as commands find it: there or not, good or not.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;
use trap_server::database::{self, Options};

use crate::child::{CONFIG, Server, run_in};
use crate::usage::assert_ends;

const LOG: &str = "[store]\nkind = \"log\"\n";

/// A folder with this config.
pub fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

/// The file as the server makes it in such a folder.
pub fn database(folder: &Path) -> Connection {
    let options = Options { path: path(folder), full: false, lock_timeout: crate::child::PATIENCE };
    database::open(&database::SINGLE, &options).unwrap()
}

fn path(folder: &Path) -> PathBuf {
    folder.join("data/trap.db")
}

/// A file with a message in it.
fn with_message(config: &str) -> TempDir {
    let folder = folder(config);
    let sql = "INSERT INTO message VALUES (7, 0, 'one', '127.0.0.1:1', 'test', 'session', x'6869')";
    database(folder.path()).execute_batch(sql).unwrap();
    folder
}

#[test]
fn a_file_that_is_not_there_yet_is_named() {
    let folder = folder(CONFIG);
    let place = path(folder.path()).display().to_string();
    let said = ["there is no ", &place, "`store.path` of config.toml", "the server makes it"];
    assert_ends(&run_in(folder.path(), &["messages"]), 74, &[], &said);
    let said = [
        "data/trap.db: not there yet; it is made when the server starts",
        "\n  credentials         list: 1 client",
    ];
    assert_ends(&run_in(folder.path(), &["--check"]), 0, &said, &[]);
    assert!(!folder.path().join("data").exists());
}

#[test]
fn the_store_log_has_no_file_but_one_that_is_there_is_read() {
    let without = folder(LOG);
    assert_ends(&run_in(without.path(), &["messages"]), 74, &[], &["`kind` is \"log\""]);
    assert_ends(&run_in(without.path(), &["--check"]), 0, &["\n  store               the log\n"], &[]);
    assert_ends(&run_in(with_message(LOG).path(), &["messages"]), 0, &["\"hi\""], &[]);
}

#[test]
fn check_says_what_there_is() {
    let folder = with_message(CONFIG);
    let time = "1970-01-01T00:00:00.000000Z";
    let said = format!(" KiB, messages: about 1, from {time} to {time}");
    assert_ends(&run_in(folder.path(), &["--check"]), 0, &["data/trap.db: version ", &said], &[]);
}

#[test]
fn a_file_that_cannot_be_used_is_told_with_what_to_do() {
    let spoil = |how: &dyn Fn(&Path)| {
        let folder = with_message(CONFIG);
        how(&path(folder.path()));
        folder
    };
    let edit =
        |sql: &'static str| move |path: &Path| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    let damage = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[100..4096].fill(0xff);
        fs::write(path, bytes).unwrap();
    };
    let text =
        |path: &Path| fs::write(path, "a text that is longer than the sixteen bytes of a header").unwrap();
    let folder_there = |path: &Path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    };
    for (how, said) in [
        (&text as &dyn Fn(&Path), "not an SQLite database"),
        (&damage, "damaged ("),
        (&edit("PRAGMA user_version = 99"), "created by a newer trap-server (table version 99"),
        (&edit("PRAGMA application_id = 1"), "an SQLite database of another program"),
        (&folder_there, "cannot be opened"),
    ] {
        let folder = spoil(how);
        let said = ["data/trap.db: ", said];
        assert_ends(&run_in(folder.path(), &["messages"]), 74, &[], &said);
        assert_ends(&run_in(folder.path(), &["--check"]), 74, &["config.toml means:"], &said);
        let checked = run_in(folder.path(), &["--check"]).stdout;
        assert!(!String::from_utf8(checked).unwrap().contains("is right"));
    }
}

#[test]
fn a_file_that_the_server_will_fill_is_no_trouble_to_check() {
    let folder = folder(CONFIG);
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(path(folder.path()), "").unwrap();
    let said = "data/trap.db: empty file; the server initialises it when it starts";
    assert_ends(&run_in(folder.path(), &["--check"]), 0, &[said], &[]);
    assert_ends(&run_in(folder.path(), &["messages"]), 74, &[], &[said]);
}

#[test]
fn a_server_says_where_it_stores() {
    let server = Server::start(CONFIG);
    let path = server.folder().canonicalize().unwrap().join("data/trap.db");
    server.await_line(&format!("SENDs are stored in {}", path.display()));
}
