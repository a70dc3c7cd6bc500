mod lanes;

use std::collections::VecDeque;
use std::io::{ErrorKind, PipeReader, Read, Write as _};
use std::sync::mpsc;

use super::*;

/// A timeout for any machine; only a broken writer reaches it.
const AGES: Duration = Duration::from_secs(60);

/// The reaction of a destination to one write.
enum Step {
    /// Waits until the test opens the gate, then accepts everything.
    Stall,
    Take(usize),
    Fail(ErrorKind),
}

/// Accepts everything after the end of its script.
#[derive(Default)]
struct Script {
    steps: VecDeque<Step>,
    stalled: bool,
    open: bool,
    calls: usize,
    output: Vec<u8>,
}

#[derive(Clone, Default)]
struct Destination(Arc<(Mutex<Script>, Condvar)>);

impl Destination {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let destination = Self::default();
        destination.lock().steps.extend(steps);
        destination
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.0.lock().unwrap()
    }

    fn until_stalled(&self) {
        drop(self.0.1.wait_while(self.lock(), |script| !script.stalled).unwrap());
    }

    fn until_written(&self, output: &str) {
        let waits = |script: &mut Script| script.output != output.as_bytes();
        let waited = self.0.1.wait_timeout_while(self.lock(), AGES, waits).unwrap();
        assert!(!waited.1.timed_out(), "not written: {output}");
    }

    fn release(&self) {
        self.lock().open = true;
        self.0.1.notify_all();
    }

    fn output(&self) -> String {
        String::from_utf8(self.lock().output.clone()).unwrap()
    }
}

impl io::Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut script = self.lock();
        script.calls += 1;
        let len = match script.steps.pop_front() {
            None => bytes.len(),
            Some(Step::Take(len)) => len.min(bytes.len()),
            Some(Step::Fail(kind)) => return Err(kind.into()),
            Some(Step::Stall) => {
                script.stalled = true;
                self.0.1.notify_all();
                script = self.0.1.wait_while(script, |script| !script.open).unwrap();
                bytes.len()
            }
        };
        script.output.extend_from_slice(&bytes[..len]);
        self.0.1.notify_all();
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        Self::write(self, Lane::Server, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(destination: impl io::Write + Send + 'static) -> (Writer, Arc<Backlog>) {
    let writer = Writer::open(destination, Line { colours: false }).unwrap();
    let backlog = writer.backlog();
    (writer, backlog)
}

/// A writer whose destination has accepted the line `first` and blocks: the following lines form one batch.
fn stalled(then: impl IntoIterator<Item = Step>) -> (Writer, Arc<Backlog>, Destination) {
    let destination = Destination::new([Step::Stall].into_iter().chain(then));
    let (mut writer, backlog) = open(destination.clone());
    writer.write_all(b"first\n").unwrap();
    destination.until_stalled();
    (writer, backlog, destination)
}

fn numbered(number: usize) -> String {
    format!("line {number:07} {}\n", "x".repeat(number % 100))
}

fn write_numbered(writer: &mut Writer, numbers: std::ops::Range<usize>) {
    for number in numbers {
        writer.write_all(numbered(number).as_bytes()).unwrap();
    }
}

/// The number in a report, if the line is a report.
fn reported(line: &str) -> Option<u64> {
    let (head, text) = line.split_once("] ")?;
    assert!(head.ends_with("Z WARN  trap_server::logging"), "{head}");
    let text = text.strip_suffix(" lines were dropped: the reader of the log was too slow").unwrap();
    Some(text.parse().unwrap())
}

/// Checks that `output` consists of whole lines numbered from 0 to `end`, with a report for each gap. Returns the
/// number of lines, and the number of reported lines.
fn check(output: &str, end: u64) -> (u64, u64) {
    assert!(output.ends_with('\n'));
    let (mut next, mut missing) = (0, 0);
    for line in output.lines().filter(|line| *line != "first") {
        if let Some(dropped) = reported(line) {
            missing += dropped;
            next += dropped;
            continue;
        }
        assert_eq!(format!("{line}\n"), numbered(next as usize));
        next += 1;
    }
    assert_eq!(next, end);
    (next - missing, missing)
}

#[test]
fn a_line_is_written_without_being_asked_for() {
    let destination = Destination::default();
    let (mut writer, _) = open(destination.clone());
    for lines in 1..20 {
        writer.write_all(b"line\n").unwrap();
        destination.until_written(&"line\n".repeat(lines));
    }
}

#[test]
fn a_stalled_destination_stalls_no_thread_and_dropped_lines_are_reported_in_place() {
    let (mut writer, backlog, destination) = stalled([]);
    write_numbered(&mut writer, 0..50_000);
    let dropped = backlog.dropped();
    assert!(dropped > 0);
    destination.release();
    assert!(backlog.flush(AGES));
    write_numbered(&mut writer, 50_000..50_010);
    assert!(backlog.flush(AGES));
    assert_eq!(check(&destination.output(), 50_010), (50_010 - dropped, dropped));
    assert_eq!(destination.output().lines().filter_map(reported).count(), 1);
    assert_eq!(backlog.dropped(), dropped);
}

#[test]
fn after_a_dropped_line_no_shorter_one_slips_in() {
    let (mut writer, backlog, destination) = stalled([]);
    let long = [vec![b'x'; CAPACITY - 4], b"\n".to_vec()].concat();
    writer.write_all(&long).unwrap();
    writer.write_all(b"long\n").unwrap();
    writer.write_all(b"a\n").unwrap();
    destination.release();
    assert!(backlog.flush(AGES));
    assert_eq!(destination.output().lines().filter_map(reported).collect::<Vec<_>>(), [2]);
    assert!(!destination.output().contains("a\n"));
}

#[test]
fn a_line_that_can_never_fit_is_reported_immediately() {
    let destination = Destination::default();
    let (mut writer, backlog) = open(destination.clone());
    writer.write_all(&vec![b'x'; CAPACITY + 1]).unwrap();
    assert!(backlog.flush(AGES));
    assert_eq!(reported(destination.output().trim_end()), Some(1));
    assert_eq!(backlog.dropped(), 1);
}

#[test]
fn a_pipe_without_a_reader_stalls_no_thread() {
    let (reader, pipe) = io::pipe().unwrap();
    let (mut writer, backlog) = open(pipe);
    write_numbered(&mut writer, 0..60_000);
    assert!(!backlog.flush(Duration::ZERO));
    let output = thread::spawn(move || read_all(reader));
    assert!(backlog.flush(AGES));
    drop(writer);
    let (there, missing) = check(&output.join().unwrap(), 60_000);
    assert!(missing > 0);
    assert_eq!((there, missing), (60_000 - backlog.dropped(), backlog.dropped()));
}

fn read_all(mut reader: PipeReader) -> String {
    let mut output = String::new();
    reader.read_to_string(&mut output).unwrap();
    output
}

#[test]
fn a_reader_that_has_gone_costs_lines_only() {
    let (reader, pipe) = io::pipe().unwrap();
    let (mut writer, backlog) = open(pipe);
    drop(reader);
    for lines in 1..4 {
        writer.write_all(b"line\n").unwrap();
        assert!(backlog.flush(AGES));
        assert_eq!(backlog.dropped(), lines);
    }
}

#[test]
fn a_destination_that_fails_is_tried_again_with_the_next_lines_only() {
    let destination = Destination::new([ErrorKind::BrokenPipe, ErrorKind::StorageFull].map(Step::Fail));
    let (mut writer, backlog) = open(destination.clone());
    for (line, calls) in [("a\n", 1), ("b\n", 2), ("c\n", 4)] {
        writer.write_all(line.as_bytes()).unwrap();
        assert!(backlog.flush(AGES));
        assert_eq!(destination.lock().calls, calls);
    }
    assert_eq!(backlog.dropped(), 2);
    let output = destination.output();
    let (report, rest) = output.split_once('\n').unwrap();
    assert!(
        report.ends_with("Z WARN  trap_server::logging] 2 lines were dropped: no storage space"),
        "{report}"
    );
    assert_eq!(rest, "c\n");
}

#[test]
fn a_line_that_was_begun_is_ended_before_all_others() {
    let full = || Step::Fail(ErrorKind::StorageFull);
    let (mut writer, backlog, destination) = stalled([Step::Take(7), full(), full(), Step::Take(1), full()]);
    writer.write_all(b"aaaa\nbbbb\ncccc\ndddd\n").unwrap();
    destination.release();
    assert!(backlog.flush(AGES));
    assert_eq!(destination.output(), "first\naaaa\nbb");
    for line in ["eeee\n", "ffff\n", "gggg\n"] {
        writer.write_all(line.as_bytes()).unwrap();
        assert!(backlog.flush(AGES));
    }
    let output = destination.output();
    let (before, rest) = output.split_once('[').unwrap();
    assert_eq!(before, "first\naaaa\nbbbb\n");
    assert!(rest.ends_with("] 4 lines were dropped: no storage space\ngggg\n"), "{rest}");
    assert_eq!(backlog.dropped(), 4);
}

#[test]
fn a_report_that_was_begun_is_ended_and_not_repeated() {
    let full = || Step::Fail(ErrorKind::StorageFull);
    let destination = Destination::new([full(), Step::Take(30), full()]);
    let (mut writer, backlog) = open(destination.clone());
    for line in ["a\n", "b\n", "c\n"] {
        writer.write_all(line.as_bytes()).unwrap();
        assert!(backlog.flush(AGES));
    }
    let output = destination.output();
    let texts = output.lines().map(|line| line.rsplit(' ').next().unwrap()).collect::<Vec<_>>();
    assert_eq!(texts, ["space", "space", "c"], "{output}");
    assert_eq!(output.matches("1 lines were dropped").count(), 2);
}

#[test]
fn a_failure_that_cost_no_line_is_not_blamed_later() {
    let destination = Destination::new([Step::Take(2), Step::Fail(ErrorKind::StorageFull)]);
    let (mut writer, backlog) = open(destination.clone());
    writer.write_all(b"aaaa\n").unwrap();
    assert!(backlog.flush(AGES));
    writer.write_all(&vec![b'x'; CAPACITY + 1]).unwrap();
    assert!(backlog.flush(AGES));
    let output = destination.output();
    assert_eq!(reported(output.strip_prefix("aaaa\n").unwrap().trim_end()), Some(1));
}

#[test]
fn a_destination_that_takes_little_at_a_time_gets_it_all() {
    let little = (0..30).flat_map(|len| {
        let refusal = if len % 7 == 0 { ErrorKind::WouldBlock } else { ErrorKind::Interrupted };
        [Step::Take(1 + len % 5), Step::Fail(refusal)]
    });
    let destination = Destination::new(little);
    let (mut writer, backlog) = open(destination.clone());
    write_numbered(&mut writer, 0..100);
    assert!(backlog.flush(AGES));
    assert_eq!(check(&destination.output(), 100), (100, 0));
}

#[test]
fn flush_returns_whether_all_is_written() {
    let (mut writer, backlog, destination) = stalled([]);
    assert!(!backlog.flush(Duration::ZERO));
    writer.write_all(b"second\n").unwrap();
    assert!(!backlog.flush(Duration::from_millis(1)));
    destination.release();
    assert!(backlog.flush(AGES));
    assert_eq!(destination.output(), "first\nsecond\n");
    assert!(backlog.flush(Duration::ZERO));
}

#[test]
fn lines_of_many_threads_stay_whole_and_in_order() {
    const THREADS: usize = 8;
    let destination = Destination::new((0..5_000).map(|len| Step::Take(1 + len % 900)));
    let (writer, backlog) = open(destination.clone());
    let writer = Mutex::new(writer);
    thread::scope(|scope| {
        for name in 0..THREADS {
            let writer = &writer;
            scope.spawn(move || {
                for number in 0..1_000 {
                    let line = format!("{name} {}", numbered(number));
                    writer.lock().unwrap().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
    assert!(backlog.flush(AGES));
    assert_eq!(backlog.dropped(), 0);
    let mut next = [0; THREADS];
    for line in destination.output().lines() {
        let (name, line) = line.split_once(' ').unwrap();
        let next = &mut next[name.parse::<usize>().unwrap()];
        assert_eq!(format!("{line}\n"), numbered(*next));
        *next += 1;
    }
    assert_eq!(next, [1_000; THREADS]);
}

#[test]
fn a_thread_that_panics_while_it_logs_harms_no_other() {
    let destination = Destination::default();
    let (mut writer, backlog) = open(destination.clone());
    let poisoned = Arc::clone(&backlog);
    let poisoner = thread::spawn(move || {
        let _state = poisoned.state.lock();
        panic!("while the state is locked");
    });
    assert!(poisoner.join().is_err());
    writer.write_all(b"line\n").unwrap();
    assert!(backlog.flush(AGES));
    assert_eq!(destination.output(), "line\n");
}

#[test]
fn the_thread_ends_with_the_writer_and_writes_the_rest() {
    struct Ended(Destination, #[expect(dead_code, reason = "its end is what counts")] mpsc::Sender<()>);
    impl io::Write for Ended {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (sender, ended) = mpsc::channel();
    let destination = Destination::default();
    let (mut writer, _) = open(Ended(destination.clone(), sender));
    writer.write_all(b"last\n").unwrap();
    drop(writer);
    assert_eq!(ended.recv_timeout(AGES), Err(mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(destination.output(), "last\n");
}
