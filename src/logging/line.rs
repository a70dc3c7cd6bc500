//! The format of a log line: as in env_logger, but always one line, and in a quarter of the time.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use log::Level;

use super::escape::Visible;

/// `[2026-11-23T05:40:12.123Z INFO  trap_server::session] text`, time in UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// Whether level and brackets have terminal colours.
    pub(super) colours: bool,
}

impl Line {
    /// Writes one line and its line break. Invisible characters in `text`, including line breaks, become `\xNN`.
    pub(super) fn write(
        self,
        out: &mut impl io::Write,
        level: Level,
        target: &str,
        text: fmt::Arguments<'_>,
    ) -> io::Result<()> {
        let (open, close) =
            if self.colours { ("\x1b[90m[\x1b[0m", "\x1b[90m]\x1b[0m ") } else { ("[", "] ") };
        out.write_all(open.as_bytes())?;
        out.write_all(&timestamp())?;
        out.write_all(self.level(level).as_bytes())?;
        out.write_all(target.as_bytes())?;
        out.write_all(close.as_bytes())?;
        match fmt::write(&mut OneLine(out), text) {
            Ok(()) => out.write_all(b"\n"),
            Err(fmt::Error) => out.write_all(b" (the rest cannot be formatted)\n"),
        }
    }

    const fn level(self, level: Level) -> &'static str {
        match (level, self.colours) {
            (Level::Error, false) => " ERROR ",
            (Level::Warn, false) => " WARN  ",
            (Level::Info, false) => " INFO  ",
            (Level::Debug, false) => " DEBUG ",
            (Level::Trace, false) => " TRACE ",
            (Level::Error, true) => " \x1b[1m\x1b[31mERROR\x1b[0m ",
            (Level::Warn, true) => " \x1b[33mWARN \x1b[0m ",
            (Level::Info, true) => " \x1b[32mINFO \x1b[0m ",
            (Level::Debug, true) => " \x1b[34mDEBUG\x1b[0m ",
            (Level::Trace, true) => " \x1b[36mTRACE\x1b[0m ",
        }
    }
}

/// RFC 3339 with milliseconds.
type Text = [u8; 24];

const NO_TIME: Text = *b"0000-00-00T00:00:00.000Z";

const LAST: Timestamp = Timestamp::constant(253_402_207_200, 0);

/// The present time. Date and second are formatted once in a second per thread: doing so for each line would cost as
/// much as all the rest of the line.
fn timestamp() -> Text {
    thread_local! {
        static SECOND: Cell<(u64, Text)> = const { Cell::new((u64::MAX, NO_TIME)) };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (second, mut text) = SECOND.get();
    if second != now.as_secs() {
        text = whole_second(now.as_secs());
        SECOND.set((now.as_secs(), text));
    }
    let [.., hundreds, tens, ones, _] = &mut text;
    let millis = now.subsec_millis();
    [*hundreds, *tens, *ones] = [millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8);
    text
}

/// `second` counts from 1970 to the end of the year 9999, where the format ends. After that it stays at its last time.
fn whole_second(second: u64) -> Text {
    let mut text = NO_TIME;
    let time = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
    write!(text.as_mut_slice(), "{:.3}", time.unwrap_or(LAST)).expect("this time has 24 characters");
    text
}

/// A line for `write!` that escapes each piece. Most pieces are plain ASCII, for which one check is enough.
struct OneLine<'a, W>(&'a mut W);

impl<W: io::Write> fmt::Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let written = match text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            true => self.0.write_all(text.as_bytes()),
            false => write!(self.0, "{}", Visible(text)),
        };
        written.map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use env_logger::{Builder, Target, WriteStyle};
    use log::{LevelFilter, Log, Record};

    use super::*;

    const LEVELS: [Level; 5] = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

    struct Sender(mpsc::Sender<Vec<u8>>);

    impl io::Write for Sender {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.send(line.to_vec()).unwrap();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn ours(colours: bool, level: Level, text: &str) -> String {
        let mut line = Vec::new();
        Line { colours }.write(&mut line, level, "trap_server::session", format_args!("{text}")).unwrap();
        String::from_utf8(line).unwrap()
    }

    fn env_loggers(colours: bool, level: Level, text: &str) -> String {
        let (sender, lines) = mpsc::channel();
        let mut builder = Builder::new();
        builder.filter_level(LevelFilter::Trace).format_timestamp_millis();
        builder.write_style(if colours { WriteStyle::Always } else { WriteStyle::Never });
        let logger = builder.target(Target::Pipe(Box::new(Sender(sender)))).build();
        let mut record = Record::builder();
        logger.log(&record.level(level).target("trap_server::session").args(format_args!("{text}")).build());
        String::from_utf8(lines.try_iter().flatten().collect()).unwrap()
    }

    /// Replaces each digit of the time with 0.
    fn without_time(line: &str) -> String {
        let (head, tail) = line.split_at(line.find("Z").unwrap());
        let (colour, time) = head.split_at(head.rfind(['[', 'm']).unwrap());
        format!("{colour}{}{tail}", time.replace(|c: char| c.is_ascii_digit(), "0"))
    }

    #[test]
    fn a_line_looks_as_env_logger_prints_it() {
        for (level, colours) in LEVELS.into_iter().flat_map(|level| [(level, false), (level, true)]) {
            let (ours, theirs) = (ours(colours, level, "grüß\"e"), env_loggers(colours, level, "grüß\"e"));
            assert_eq!(without_time(&ours), without_time(&theirs));
        }
        assert_eq!(
            without_time(&ours(false, Level::Info, "text")),
            "[0000-00-00T00:00:00.000Z INFO  trap_server::session] text\n"
        );
    }

    #[test]
    fn a_record_is_one_line() {
        let line = ours(false, Level::Warn, "a\n[2026-11-23T05:40:12.123Z ERROR x] b\u{1b}[2J\u{202e}");
        let (_, text) = line.split_once("] ").unwrap();
        assert_eq!(text, concat!(r"a\x0a[2026-11-23T05:40:12.123Z ERROR x] b\x1b[2J\xe2\x80\xae", "\n"));
    }

    #[test]
    fn the_time_is_the_present() {
        let before = Timestamp::now() - Duration::from_millis(1);
        for _ in 0..3 {
            let text = timestamp();
            let time: Timestamp = std::str::from_utf8(&text).unwrap().parse().unwrap();
            assert!(before <= time && time <= Timestamp::now());
        }
    }

    #[test]
    fn a_second_is_formatted_until_the_year_9999() {
        assert_eq!(&whole_second(1_795_412_412), b"2026-11-23T05:40:12.000Z");
        assert_eq!(&whole_second(253_402_207_200), b"9999-12-30T22:00:00.000Z");
        assert_eq!(whole_second(u64::MAX), whole_second(253_402_207_200));
    }

    #[test]
    fn a_value_that_cannot_be_formatted_costs_only_its_line() {
        struct Broken;
        impl fmt::Display for Broken {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let mut line = Vec::new();
        Line { colours: false }.write(&mut line, Level::Info, "here", format_args!("a{Broken}b")).unwrap();
        assert!(line.ends_with(b"Z INFO  here] a (the rest cannot be formatted)\n"));
    }
}
