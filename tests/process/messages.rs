//! `messages`: each format and each option, while messages are written.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use trap_server::database::Timestamp;

use crate::child::{CONFIG, command_in, eventually, run_in};
use crate::segments::{Writer, damage, path};
use crate::store::{folder, segment};
use crate::usage::assert_ends;

/// Bytes that are not text, and bytes that would colour a terminal.
const BYTES: &[u8] = b"\x1b[31m\xff\r\n";

/// What `messages` prints with these arguments; it has nothing to complain of.
fn messages(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = run_in(folder, &[&["messages"], arguments].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    output.stdout
}

fn text(folder: &Path, arguments: &[&str]) -> String {
    String::from_utf8(messages(folder, arguments)).unwrap()
}

/// Three messages of two devices in two segments, the newest of which is in use.
fn three() -> (TempDir, Writer) {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    writer.send("one", b"hello");
    writer.roll().seal();
    writer.send("one", BYTES);
    writer.send("two", b"=1,\"2\"");
    (folder, writer)
}

#[test]
fn a_table_is_aligned_and_harmless() {
    let (folder, _writer) = three();
    let table = text(folder.path(), &[]);
    assert!(table.chars().all(|c| c == '\n' || !c.is_control()), "{table:?}");
    let lines: Vec<_> = table.lines().collect();
    let column = lines[0].find("DATA").unwrap();
    let data: Vec<_> = lines[1..].iter().map(|line| &line[column..]).collect();
    assert_eq!(data, [r#""hello""#, r#""\x1b[31m\xff\x0d\x0a""#, r#""=1,\"2\"""#]);
    let words: Vec<_> = lines[3].split_whitespace().collect();
    assert_eq!((words[0], words[2], words[4], words[5], words[6]), ("3", "two", "test", "session", "6"));
    assert!(words[1].len() == "2026-11-24T18:00:00.000000Z".len() && words[1].ends_with('Z'), "{table}");
}

#[test]
fn ndjson_has_an_object_on_each_line() {
    let (folder, _writer) = three();
    let objects = text(folder.path(), &["--format", "ndjson"]);
    let objects: Vec<Value> = objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys = ["bytes", "client", "data", "id", "listener", "mode", "peer", "received_at", "text"];
    assert!(objects.iter().all(|object| object.as_object().unwrap().keys().eq(keys)), "{objects:?}");
    let told: Vec<_> = objects
        .iter()
        .map(|object| (object["id"].as_i64(), object["client"].as_str(), object["text"].as_str()))
        .collect();
    let expected = [
        (Some(1), Some("one"), Some("hello")),
        (Some(2), Some("one"), None),
        (Some(3), Some("two"), Some("=1,\"2\"")),
    ];
    assert_eq!(told, expected);
    assert_eq!(BASE64_STANDARD.decode(objects[1]["data"].as_str().unwrap()).unwrap(), BYTES);
    assert_eq!(objects[1]["bytes"], BYTES.len());
    let received_at = objects[1]["received_at"].as_str().unwrap();
    let time: jiff::Timestamp = received_at.parse().unwrap();
    assert_eq!(Timestamp::from(SystemTime::from(time)).to_string(), received_at);
}

#[test]
fn csv_has_a_header_and_a_record_for_each() {
    let (folder, _writer) = three();
    let printed = messages(folder.path(), &["--format", "csv"]);
    let mut reader = csv::Reader::from_reader(&*printed);
    let header = ["id", "received_at", "client", "peer", "listener", "mode", "bytes", "data"];
    assert_eq!(reader.headers().unwrap(), &header[..]);
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    let data: Vec<_> = records.iter().map(|record| BASE64_STANDARD.decode(&record[7]).unwrap()).collect();
    assert_eq!(data, [b"hello", BYTES, b"=1,\"2\""]);
    assert_eq!(
        (&records[2][0], &records[2][2], &records[2][5], &records[2][6]),
        ("3", "two", "session", "6")
    );
}

#[test]
fn raw_is_the_data_and_nothing_else() {
    let (folder, _writer) = three();
    let expected = [b"hello", BYTES, b"=1,\"2\""].concat();
    assert_eq!(messages(folder.path(), &["--format", "raw"]), expected);
    assert_eq!(messages(folder.path(), &["--format", "raw", "--client", "two"]), b"=1,\"2\"");
}

/// Four messages, an hour apart from 17:00 on; before the last the clock was set back by two hours.
const HOURS: &str = "
    INSERT INTO message SELECT column1, 1795539600000000 + column2 * 3600000000, column3, '127.0.0.1:1', 'test', 'session', column4
    FROM (VALUES (1, 0, 'one', 'a'), (2, 1, 'two', 'b'), (3, 2, 'one', 'c'), (4, 1, 'two', 'd'));
    INSERT INTO clock_step VALUES (4);";

#[test]
fn options_select_messages() {
    let folder = folder(CONFIG);
    segment(folder.path()).execute_batch(&HOURS.replace("column4", "CAST(column4 AS BLOB)")).unwrap();
    for (arguments, data) in [
        (&[][..], "abcd"),
        (&["--since", "2026-11-24T18:00:00Z"], "bcd"),
        (&["--since", "2026-11-24 18:00:00.000001"], "c"),
        (&["--until", "2026-11-24 18:00:00"], "a"),
        (&["--until", "2026-11-24"], ""),
        (&["--since", "2026-11-24", "--until", "2026-11-25"], "abcd"),
        (&["--since", "2026-11-24T18:00:00Z", "--until", "2026-11-24T19:00:00Z"], "bd"),
        (&["--since", "2026-11-24T18:00:00Z", "--client", "two", "--limit", "1"], "d"),
        (&["--limit", "3"], "bcd"),
        (&["--limit", "3", "--client", "one"], "ac"),
        (&["--limit", "0"], ""),
        (&["--after", "2"], "cd"),
        (&["--after", "0", "--limit", "3"], "bcd"),
        (&["--after", "3", "--client", "one"], ""),
        (&["--after", "4"], ""),
        (&["--client", "nobody"], ""),
        (&["--since", "2026-11-24T20:00:00+02:00", "--until", "2026-11-24 19:00"], "bd"),
        (&["--since", "1000y"], "abcd"),
        (&["--until", "1000y"], ""),
    ] {
        assert_eq!(text(folder.path(), &[&["--format", "raw"], arguments].concat()), data, "{arguments:?}");
    }
}

#[test]
fn a_time_without_an_offset_is_in_the_time_zone_of_the_machine() {
    let folder = folder(CONFIG);
    segment(folder.path()).execute_batch(&HOURS.replace("column4", "CAST(column4 AS BLOB)")).unwrap();
    let mut command =
        command_in(folder.path(), &["messages", "--format", "raw", "--since", "2026-11-24 20:00"]);
    assert_eq!(command.env("TZ", "EET-2").output().unwrap().stdout, b"bcd");
}

/// Whether a process is in poll(2), or ppoll(2), by their numbers on x86-64 and aarch64. Where this cannot be read, it is.
fn polls(pid: u32) -> bool {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall"));
    call.map_or(true, |call| ["7 ", "271 ", "73 "].iter().any(|number| call.starts_with(number)))
}

#[tokio::test]
async fn a_pipe_that_does_not_block_is_waited_for() {
    let folder = folder(CONFIG);
    segment(folder.path()).execute_batch(&HOURS.replace("column4", "CAST(column4 AS BLOB)")).unwrap();
    let (stdout, mut reader) = pipe::pipe().unwrap();
    let mut filled = 0;
    stdout.writable().await.unwrap();
    while let Ok(written) = stdout.try_write(b" ") {
        filled += written;
    }
    let mut command = command_in(folder.path(), &["messages", "--format", "raw"]);
    let mut child = command.stdout(stdout.into_nonblocking_fd().unwrap()).spawn().unwrap();
    // It holds the pipe open, too.
    drop(command);
    eventually("it waits for room, or has ended", || {
        polls(child.id()) || child.try_wait().unwrap().is_some()
    });
    let mut printed = String::new();
    reader.read_to_string(&mut printed).await.unwrap();
    assert_eq!(&printed[filled..], "abcd");
    assert!(child.wait().unwrap().success());
}

#[test]
fn contradictory_options_are_rejected() {
    let folder = folder(CONFIG);
    for (arguments, told) in [
        (&["messages", "--since", "soon"][..], "2026-12-31T18:00:00Z"),
        (&["messages", "--follow", "--until", "2026-11-24"], "--until"),
        (&["messages", "--follow", "--from", "data"], "--from"),
        (&["messages", "--after=-1"], "--after"),
        (&["messages", "--client", ""], "--client"),
        (&["messages", "--format", "xml"], "ndjson"),
    ] {
        assert_ends(&run_in(folder.path(), arguments), 64, &[], &[told]);
    }
    assert_ends(
        &run_in(folder.path(), &["messages", "--help"]),
        0,
        &["time zone of this machine", "1h 30m", "--follow"],
        &[],
    );
}

/// Three sealed segments of ten messages each, and one in use.
fn thirty() -> (TempDir, Writer) {
    let folder = folder(CONFIG);
    let mut writer = Writer::new(folder.path());
    for _ in 0..3 {
        writer.send_many(10);
        writer.roll().seal();
    }
    (folder, writer)
}

/// The ids in an output as csv.
pub fn ids(stdout: &[u8]) -> Vec<i64> {
    let lines = str::from_utf8(stdout).unwrap().lines().skip(1);
    lines.map(|line| line.split(',').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn messages_that_were_removed_are_named_on_standard_error() {
    let (folder, writer) = thirty();
    fs::remove_file(writer.path(11)).unwrap();
    let csv = ["messages", "--format", "csv"];
    for (arguments, first) in [(&[][..], 1), (&["--after", "4"], 5)] {
        let output = run_in(folder.path(), &[&csv, arguments].concat());
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(ids(&output.stdout), Vec::from_iter((first..=10).chain(21..=30)));
        let told = "trap-server: messages 11 to 20 are missing: their segment was removed\n";
        assert_eq!(String::from_utf8(output.stderr).unwrap(), told);
    }
}

#[test]
fn a_damaged_segment_is_an_error_after_all_others_are_printed() {
    let (folder, writer) = thirty();
    damage(&writer.path(11));
    let output = run_in(folder.path(), &["messages", "--format", "csv"]);
    assert_eq!(ids(&output.stdout), Vec::from_iter((1..=10).chain(21..=30)));
    let told = [
        "messages 11 to 20 cannot be read: ",
        "00000000000000000011.db: damaged",
        "move it away, and restore it from a backup",
        "1 segment could not be read",
    ];
    assert_ends(&output, 74, &["id,received_at"], &told);
}

#[test]
fn an_id_that_is_not_given_yet_shows_that_the_messages_were_replaced() {
    let (folder, mut writer) = thirty();
    writer.send_many(1);
    assert_ends(&run_in(folder.path(), &["messages", "--after", "31"]), 0, &["DATA"], &[]);
    let told = ["the next message should be 33, but the newest one is 31"];
    assert_ends(&run_in(folder.path(), &["messages", "--after", "32"]), 74, &["DATA"], &told);
}

#[test]
fn other_folders_and_single_segments_are_read() {
    let (folder, writer) = thirty();
    let archive = tempfile::tempdir().unwrap();
    let moved = path(archive.path(), 1);
    fs::create_dir(moved.parent().unwrap()).unwrap();
    fs::rename(writer.path(1), &moved).unwrap();
    let renamed = archive.path().join("january.db");
    fs::copy(writer.path(11), &renamed).unwrap();
    // It needs no config, and no file beside the segment.
    let elsewhere = tempfile::tempdir().unwrap();
    for (from, ids_there) in [
        (archive.path(), 1..=10),
        (moved.parent().unwrap(), 1..=10),
        (&moved, 1..=10),
        (&renamed, 11..=20),
        (&folder.path().join("data"), 11..=30),
    ] {
        let from = from.to_str().unwrap();
        let output = run_in(elsewhere.path(), &["messages", "--format", "csv", "--from", from]);
        assert!(output.status.success() && output.stderr.is_empty(), "{from}: {output:?}");
        assert_eq!(ids(&output.stdout), Vec::from_iter(ids_there), "{from}");
    }
    let empty = ["messages", "--from", "."];
    assert_ends(&run_in(elsewhere.path(), &empty), 74, &[], &["no segment in /", "00000000000000000001.db"]);
    assert_ends(&run_in(elsewhere.path(), &["messages", "--from", "no"]), 74, &[], &["no: cannot be opened"]);
}
