//! The log as a process has it: each test starts this program again, in the part of `child`, and reads its stderr.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio, exit};
use std::time::Duration;

use log::{LevelFilter, debug, error, info, warn};
use trap_server::logging::{self, Claim, Crash, StartError};

const AGES: Duration = Duration::from_secs(60);

/// What `child` is to do.
const PART: &str = "LOGGING_TEST_PART";

#[test]
#[ignore = "the other tests start it in a process of its own"]
fn child() {
    let Ok(part) = env::var(PART) else { return };
    let logging = logging::start(LevelFilter::Info).unwrap();
    match part.as_str() {
        "speak" => {
            info!("informs");
            debug!("debugs");
            error!("fails");
            exit(i32::from(!logging.flush(AGES)));
        }
        "start twice" => {
            assert!(matches!(logging::start(LevelFilter::Info), Err(StartError::Second(_))));
            warn!("still here");
            exit(i32::from(!logging.flush(AGES)));
        }
        "drop" => {
            info!("last words");
            drop(logging);
            exit(0);
        }
        "panic" => {
            let session = std::thread::Builder::new().name("worker".into());
            assert!(session.spawn(|| panic!("out of\ncheese")).unwrap().join().is_err());
            exit(i32::from(!logging.flush(AGES)));
        }
        "panic often" => {
            let panics = || {
                for _ in 0..3 {
                    let _ = std::panic::catch_unwind(|| panic!("three times"));
                }
                let _ = std::panic::catch_unwind(|| panic!("another place"));
            };
            panics();
            // It is killed when its lines are there.
            std::thread::sleep(AGES);
        }
        "claim" => {
            let claimed = |text: Option<&str>| {
                let _claim = Claim::lay();
                text.map_or_else(|| panic!("a\n\"literal\""), |text| panic!("made of {text}"))
            };
            assert!(std::panic::catch_unwind(|| claimed(None)).is_err());
            info!("{}", Crash::take().unwrap());
            assert!(Crash::take().is_none());
            // This one is not taken.
            assert!(std::panic::catch_unwind(|| claimed(Some("data"))).is_err());
            let _claim = Claim::lay();
            exit(i32::from(!logging.flush(AGES)));
        }
        "abort while claimed" => {
            let _claim = Claim::lay();
            let _bomb = Bomb;
            panic!("the first");
        }
        "abort" => {
            let _bomb = Bomb;
            panic!("the first");
        }
        "flood" => {
            (0..100_000).for_each(|number| info!("line {number}"));
            let flushed = logging.flush(Duration::ZERO);
            exit(i32::from(flushed || logging.dropped() == 0));
        }
        "flood of sessions" => {
            (0..100_000).for_each(|number| info!(target: "trap_server::session", "line {number}"));
            info!(target: "trap_server::server", "stats");
            error!(target: "trap_server::session", "crashed");
            println!("{LOGGED}");
            exit(i32::from(!logging.flush(AGES)));
        }
        _ => unreachable!("{part}"),
    }
}

/// What a child prints when it has logged, and its log may be read.
const LOGGED: &str = "logged";

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the second");
    }
}

fn command(part: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    for name in ["RUST_LOG", "RUST_LOG_STYLE", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.args(["--exact", "child", "--ignored", "--nocapture"]);
    command.env("RUST_BACKTRACE", "0").env(PART, part).envs(variables.iter().copied()).stdout(Stdio::null());
    command
}

/// The stderr of a child that ends well.
fn stderr(part: &str, variables: &[(&str, &str)]) -> String {
    let output = command(part, variables).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{}: {text}", output.status);
    text
}

/// Level, target and text of each line.
fn lines(stderr: &str) -> Vec<&str> {
    stderr.lines().map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest)).collect()
}

#[test]
fn the_level_holds_unless_the_environment_says_otherwise() {
    let [informs, debugs, fails] =
        ["INFO  logging] informs", "DEBUG logging] debugs", "ERROR logging] fails"];
    assert_eq!(lines(&stderr("speak", &[])), [informs, fails]);
    assert_eq!(lines(&stderr("speak", &[("RUST_LOG", "")])), [informs, fails]);
    assert_eq!(lines(&stderr("speak", &[("RUST_LOG", "debug")])), [informs, debugs, fails]);
    assert_eq!(lines(&stderr("speak", &[("RUST_LOG", "off,logging=error")])), [fails]);
    assert_eq!(lines(&stderr("speak", &[("RUST_LOG", "elsewhere=trace")])), [""; 0]);
}

#[test]
fn a_filter_that_makes_no_sense_is_ignored_with_a_warning() {
    let stderr = stderr("speak", &[("RUST_LOG", "logging=loud")]);
    assert!(stderr.starts_with("warning: "), "{stderr}");
    assert!(stderr.ends_with("ERROR logging] fails\n"), "{stderr}");
}

#[test]
fn a_line_has_its_time_and_colours_only_if_asked_for() {
    let plain = stderr("speak", &[("RUST_LOG_STYLE", "auto")]);
    let (time, _) = plain.strip_prefix('[').unwrap().split_once(' ').unwrap();
    assert_eq!(time.len(), "2026-11-23T05:40:12.123Z".len());
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    assert!(!plain.contains('\x1b'));
    let coloured = stderr("speak", &[("RUST_LOG_STYLE", "always")]);
    assert!(coloured.contains("\x1b[32mINFO \x1b[0m logging\x1b[90m]\x1b[0m informs\n"), "{coloured:?}");
}

#[test]
fn a_second_log_is_refused_and_the_first_goes_on() {
    assert_eq!(lines(&stderr("start twice", &[])), ["WARN  logging] still here"]);
}

#[test]
fn dropping_the_log_flushes_it() {
    assert_eq!(lines(&stderr("drop", &[])), ["INFO  logging] last words"]);
}

#[test]
fn a_panic_is_one_line() {
    let stderr = stderr("panic", &[]);
    let [line] = lines(&stderr)[..] else { panic!("{stderr}") };
    let (place, text) = line.rsplit_once(": ").unwrap();
    assert!(
        place.starts_with("ERROR trap_server::logging] thread worker panicked at tests/logging.rs:"),
        "{place}"
    );
    assert_eq!(text, r"out of\x0acheese");
}

#[test]
fn a_claimed_panic_is_logged_by_its_taker_or_at_the_next_claim() {
    let stderr = stderr("claim", &[]);
    let [taken, left] = lines(&stderr)[..] else { panic!("{stderr}") };
    let place = taken.strip_prefix(r#"INFO  logging] panic="a\x0a\"literal\"" at=tests/logging.rs:"#);
    assert!(place.is_some_and(|place| place.parse::<u32>().is_ok()), "{taken}");
    // Its text was made at run time, and may contain data of a peer.
    assert!(left.starts_with("ERROR trap_server::logging] thread "), "{left}");
    assert!(
        left.contains(" panicked at tests/logging.rs:")
            && left.ends_with(": its text may contain data of a peer"),
        "{left}"
    );
}

#[test]
fn the_way_to_a_panic_is_one_line_for_each_place_and_minute() {
    let mut child = command("panic often", &[("RUST_BACKTRACE", "1")]);
    let mut child = child.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let (mut panics, mut ways) = (0, Vec::new());
    for line in lines {
        panics += usize::from(line.contains(" panicked at "));
        if let Some((_, way)) = line.split_once("ERROR trap_server::logging] backtrace of tests/logging.rs:")
        {
            ways.push(way.to_owned());
        }
        if panics == 4 && ways.len() == 2 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_ne!(ways[0], ways[1]);
    for way in ways {
        assert!(way.contains(": logging::child") && way.contains(" tests/logging.rs:"), "{way}");
        assert!(!way.contains("std::"), "{way}");
    }
}

#[test]
fn the_panics_that_end_in_an_abort_are_logged() {
    for part in ["abort", "abort while claimed"] {
        let output = command(part, &[]).output().unwrap();
        assert!(!output.status.success());
        let stderr = String::from_utf8(output.stderr).unwrap();
        for text in ["the first", "the second", "panic in a destructor during cleanup"] {
            let is_logged = |line: &&str| line.starts_with("ERROR ") && line.ends_with(text);
            assert_eq!(lines(&stderr).into_iter().filter(is_logged).count(), 1, "{text}: {stderr}");
        }
    }
}

#[test]
fn a_reader_that_stalls_does_not_keep_the_process_from_its_work_or_its_end() {
    let mut child = command("flood", &[]).stderr(Stdio::piped()).spawn().unwrap();
    let unread = child.stderr.take();
    assert!(child.wait().unwrap().success());
    drop(unread);
}

#[test]
fn a_reader_that_stalls_costs_lines_of_sessions_and_none_of_the_server() {
    let mut child = command("flood of sessions", &[]);
    let mut child = child.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(output.any(|line| line == LOGGED));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success());
    let lines = lines(&stderr);
    for line in ["INFO  trap_server::server] stats", "ERROR trap_server::session] crashed"] {
        assert!(lines.contains(&line), "{line}");
    }
    let is_report =
        |line: &&str| line.ends_with(" session lines were dropped: the reader of the log was too slow");
    assert!(lines.iter().any(is_report), "{:?}", lines.last());
}
