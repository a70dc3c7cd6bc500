//! The segments as commands find them: there or not, good or not.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::child::{CONFIG, Server, run_in};
use crate::segments::{self, Writer, damage};
use crate::usage::assert_ends;

const LOG: &str = "[store]\nkind = \"log\"\n";

/// A folder with this config.
pub fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

/// The first segment in such a folder.
pub fn segment(folder: &Path) -> Connection {
    segments::begin(&folder.join("data"), 1)
}

fn path(folder: &Path) -> PathBuf {
    segments::path(&folder.join("data"), 1)
}

/// A segment with a message in it.
fn with_message(config: &str) -> TempDir {
    let folder = folder(config);
    let sql = "INSERT INTO message VALUES (7, 0, 'one', '127.0.0.1:1', 'test', 'session', x'6869')";
    segment(folder.path()).execute_batch(sql).unwrap();
    folder
}

#[test]
fn a_missing_folder_is_named() {
    let folder = folder(CONFIG);
    let place = folder.path().join("data/messages").display().to_string();
    let said = [&place, " does not exist", "`store.path` of config.toml", "the server creates it"];
    assert_ends(&run_in(folder.path(), &["messages"]), 74, &[], &said);
    let said = [
        "data/messages: does not exist yet; the server creates it at its start",
        "\n  credentials         list: 1 client",
    ];
    assert_ends(&run_in(folder.path(), &["--check"]), 0, &said, &[]);
    assert!(!folder.path().join("data").exists());
}

#[test]
fn existing_segments_are_read_with_the_store_log_too() {
    let without = folder(LOG);
    assert_ends(&run_in(without.path(), &["messages"]), 74, &[], &["`kind` is \"log\""]);
    assert_ends(&run_in(without.path(), &["--check"]), 0, &["\n  store               the log\n"], &[]);
    assert_ends(&run_in(with_message(LOG).path(), &["messages"]), 0, &["\"hi\""], &[]);
}

#[test]
fn check_prints_a_summary_of_the_stores() {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    for _ in 0..3 {
        writer.send("one", b"hi");
        writer.roll().seal();
    }
    let said =
        ["data/messages: version 1 of the tables, 4 segments, ", " KiB, messages: about 3, from 2026-"];
    assert_ends(&run_in(folder.path(), &["--check"]), 0, &said, &[]);
}

#[test]
fn an_unusable_segment_is_reported_with_a_correction() {
    let edit =
        |sql: &'static str| move |path: &Path| Connection::open(path).unwrap().execute_batch(sql).unwrap();
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
        let folder = with_message(CONFIG);
        how(&path(folder.path()));
        let said = ["00000000000000000001.db: ", said];
        let told =
            [&said[..], &["messages from 1 on cannot be read", "1 segment could not be read"]].concat();
        assert_ends(&run_in(folder.path(), &["messages"]), 74, &["DATA"], &told);
        assert_ends(&run_in(folder.path(), &["messages", "--follow"]), 74, &["DATA"], &said);
        assert_ends(
            &run_in(folder.path(), &["--check"]),
            74,
            &["config.toml has these effective settings:"],
            &said,
        );
        let checked = run_in(folder.path(), &["--check"]).stdout;
        assert!(!String::from_utf8(checked).unwrap().contains("is right"));
    }
}

#[test]
fn a_segment_that_the_server_will_fill_has_no_messages() {
    let folder = folder(CONFIG);
    fs::create_dir_all(folder.path().join("data/messages")).unwrap();
    fs::write(path(folder.path()), "").unwrap();
    assert_ends(&run_in(folder.path(), &["--check"]), 0, &["1 segment, 0 B, messages: none"], &[]);
    assert_ends(&run_in(folder.path(), &["messages"]), 0, &["DATA"], &[]);
}

#[test]
fn a_server_says_where_it_stores() {
    let server = Server::start(CONFIG);
    let path = server.folder().canonicalize().unwrap().join("data/messages");
    server.await_line(&format!("SENDs are stored in {}", path.display()));
}
