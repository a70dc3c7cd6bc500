//! The way to a panic, once per place and minute, in one line: this program's own functions, the innermost first.

use std::backtrace::Backtrace;
use std::env;
use std::sync::LazyLock;
use std::thread;
use std::time::Instant;

use log::error;

use super::Pace;

/// Maximum functions in a line.
const SHOWN: usize = 16;

/// Files of the standard library and of other crates.
const FOREIGN: [&str; 4] = ["/rustc/", "/rustlib/", "/registry/", "/vendor/"];

/// A place has one line, and another one each minute.
static LINES: LazyLock<Pace> = LazyLock::new(|| Pace::new(1.0, 1.0 / 60.0));

/// Logs the way to the panic at `place`, which is the present call stack, unless `RUST_BACKTRACE=0`.
pub(super) fn log(target: &'static str, place: &str, process_aborts: bool) {
    let is_off = env::var_os("RUST_BACKTRACE").is_some_and(|value| value == "0");
    if is_off || !LINES.admits(place, Instant::now()) {
        return;
    }
    let (backtrace, place) = (Backtrace::force_capture(), place.to_owned());
    let say = move || match own(&backtrace.to_string()) {
        // A binary without line numbers.
        ways if ways.is_empty() => {}
        ways => error!(target: target, "backtrace of {place}: {}", ways.join(" < ")),
    };
    if process_aborts {
        return say();
    }
    // Reading the symbols may take longer than a worker may stand still. Without a thread there is no line.
    let _ = thread::Builder::new().name("backtrace".into()).spawn(say);
}

/// The functions of this program in a backtrace as the standard library prints it, each with its file and line.
fn own(backtrace: &str) -> Vec<String> {
    let mut ways = Vec::new();
    let mut function = "";
    for line in backtrace.lines().map(str::trim) {
        match (line.strip_prefix("at "), line.split_once(": ")) {
            (Some(at), _) if is_own(function, at) => ways.push(format!("{function} {}", short(at))),
            (None, Some((_, name))) => function = name,
            _ => {}
        }
    }
    ways.truncate(SHOWN);
    ways
}

fn is_own(function: &str, at: &str) -> bool {
    !FOREIGN.iter().any(|foreign| at.contains(foreign)) && !function.starts_with("trap_server::logging::")
}

/// A path from `src` on, and without the column.
fn short(at: &str) -> String {
    let at = at.rsplit_once(':').map_or(at, |(at, _column)| at);
    at.rsplit_once("/src/")
        .map_or_else(|| at.trim_start_matches("./").to_owned(), |(_, file)| format!("src/{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_functions_of_this_program_are_left() {
        let backtrace = "\
   0: std::backtrace::Backtrace::force_capture
             at /rustc/59807616e/library/std/src/backtrace.rs:313:9
   1: trap_server::logging::panics::on_panic
             at ./src/logging/panics.rs:104:5
   2: trap_server::session::input::<impl trap_server::session::Session>::dispatch
             at ./src/session/input.rs:270:9
   3: <trap_server::session::Pump as core::future::Future>::poll
             at /build/trap/src/session/mod.rs:155:20
   4: tokio::runtime::task::core::Core<T,S>::poll
             at /root/.cargo/registry/src/index/tokio-1.54.0/src/runtime/task/core.rs:365:24
   5: start_thread
";
        let ways = [
            "trap_server::session::input::<impl trap_server::session::Session>::dispatch src/session/input.rs:270",
            "<trap_server::session::Pump as core::future::Future>::poll src/session/mod.rs:155",
        ];
        assert_eq!(own(backtrace), ways);
        assert_eq!(own("disabled backtrace"), [""; 0]);
    }
}
