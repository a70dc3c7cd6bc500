//! `trap-server messages`: prints stored messages.

mod follow;
mod format;

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use trap_server::config::{Config, StoreKind};
use trap_server::database::{self, Timestamp, look};
use trap_server::protocol::{BadClientId, ClientId};
use trap_server::store::segments::folder::Folder;
use trap_server::store::segments::reader::{Ids, Lost, Message, Part, Reader, Selection, Source};
use trap_server::when::{self, NotATime};

use self::format::Format;
use crate::command::Failure;
use crate::output::Printer;

const AFTER_HELP: &str = "\
table shows the beginning of the data, with unprintable bytes as \\xNN. csv and ndjson have all of it in base64, ndjson \
also as text if it is UTF-8. raw prints the bytes alone, with nothing between messages. Printed times are UTC.

Messages that are missing or cannot be read are reported on standard error. The exit code is 74 if a segment cannot be \
read; all others are printed.";

#[derive(clap::Args)]
#[command(after_help = format!("{}\n\n{AFTER_HELP}", when::HELP))]
pub(crate) struct Args {
    /// Show only messages of this device
    #[arg(long, value_name = "ID", value_parser = client_id)]
    client: Option<ClientId>,

    /// Show only messages from this time on; a duration counts back from now
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// Show only messages before this time; a duration counts back from now
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "follow")]
    until: Option<Timestamp>,

    /// Show only messages with a higher id: resume where an earlier reader stopped
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(0..))]
    after: Option<i64>,

    /// Show only the newest N of these messages
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Read other segments: a backup, a folder of segments, or a single one
    #[arg(long, value_name = "PATH", conflicts_with = "follow")]
    from: Option<PathBuf>,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Also print new messages, until Ctrl-C or until the output is closed
    #[arg(long)]
    follow: bool,
}

impl Args {
    /// Whether other segments are read than those of the config.
    pub(crate) const fn reads_elsewhere(&self) -> bool {
        self.from.is_some()
    }

    fn selection(&self) -> Selection {
        let client = self.client.as_ref().map(ToString::to_string);
        Selection { client, since: self.since, until: self.until, after: self.after, limit: self.limit }
    }
}

fn client_id(text: &str) -> Result<ClientId, BadClientId> {
    text.try_into()
}

fn time(text: &str) -> Result<Timestamp, NotATime> {
    when::past(text).map(Timestamp::from)
}

/// Why the printing ended early.
enum Interrupted {
    Database(database::Error),
    Output(io::Error),
    /// Stored messages could not be printed.
    Incomplete(String),
}

impl From<database::Error> for Interrupted {
    fn from(err: database::Error) -> Self {
        Self::Database(err)
    }
}

impl From<io::Error> for Interrupted {
    fn from(err: io::Error) -> Self {
        Self::Output(err)
    }
}

pub(super) fn run(args: &Args, config: &Config, from: &str) -> Result<(), Failure> {
    let source = source(args, config, from)?;
    print(source, args).map_err(|stop| match stop {
        Interrupted::Database(err) => Failure::io(err),
        Interrupted::Output(err) => Failure::output(err),
        Interrupted::Incomplete(why) => Failure::io(why),
    })
}

/// The segments to be read, which must exist.
fn source(args: &Args, config: &Config, from: &str) -> Result<Source, Failure> {
    let Some(path) = &args.from else {
        let folder = Folder::of(&config.store.path);
        return match look(folder.path()) {
            Err(err) if err.kind() == ErrorKind::NotFound => {
                Err(Failure::io(missing(folder.path(), config.store.kind, from)))
            }
            Ok(_) | Err(_) => Ok(Source::Folder(folder)),
        };
    };
    let source = Source::find(path).map_err(Failure::io)?;
    match source.list().map_err(Failure::io)?.is_empty() {
        true => Err(Failure::io(format_args!(
            "no segment in {}, expected names such as 00000000000000000001.db",
            absolute(path).display()
        ))),
        false => Ok(source),
    }
}

/// Why there are no messages to read.
pub(crate) fn missing(folder: &Path, store: StoreKind, from: &str) -> String {
    let why = match store {
        StoreKind::Sqlite => "the server creates it when it starts",
        StoreKind::Log => "the server does not create it because `kind` is \"log\": the data is in its log",
    };
    format!("{} does not exist (`store.path` of {from}); {why}", absolute(folder).display())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

fn print(source: Source, args: &Args) -> Result<(), Interrupted> {
    let format = args.format.of_records();
    let mut messages = Messages {
        reader: Reader::open(source, args.selection())?,
        printer: Printer::new(format.unwrap_or_default())?,
        is_raw: format.is_none(),
        unreadable: 0,
    };
    if !messages.is_raw {
        messages.printer.header::<Message>()?;
    }
    messages.print(args.follow)?;
    // The header, even if no message follows.
    messages.printer.flush()?;
    if args.follow {
        messages.follow()?;
    }
    match messages.unreadable {
        0 => Ok(()),
        count => Err(Interrupted::Incomplete(unread(count))),
    }
}

/// The last line of a command that could not read this many segments.
pub(crate) fn unread(segments: usize) -> String {
    match segments {
        1 => "1 segment could not be read".into(),
        count => format!("{count} segments could not be read"),
    }
}

/// Messages on their way to the output.
struct Messages {
    reader: Reader,
    printer: Printer,
    is_raw: bool,
    unreadable: usize,
}

impl Messages {
    /// Prints all messages that are there, part by part. With `follow`, the newest segment must be readable.
    fn print(&mut self, follow: bool) -> Result<(), Interrupted> {
        while let Some(part) = self.reader.read()? {
            match part {
                Part::Messages(messages) => self.print_some(&messages)?,
                Part::Lost(lost @ Lost::Behind { .. }) => {
                    return Err(Interrupted::Incomplete(lost.to_string()));
                }
                Part::Lost(lost) if follow && lost.is_end() => {
                    return Err(Interrupted::Incomplete(lost.to_string()));
                }
                Part::Lost(lost) => self.complain(&lost),
                Part::Returned(ids) => announce(ids),
            }
        }
        Ok(())
    }

    fn print_some(&mut self, messages: &[Message]) -> Result<(), Interrupted> {
        messages.iter().try_for_each(|message| match self.is_raw {
            true => self.printer.bytes(&message.data),
            false => self.printer.record(message),
        })?;
        Ok(self.printer.flush()?)
    }

    /// Reports the messages that are not printed.
    fn complain(&mut self, lost: &Lost) {
        self.unreadable += usize::from(lost.is_failure());
        let _ = writeln!(io::stderr(), "trap-server: {lost}");
    }
}

/// Says which messages came too late to be printed in their order.
fn announce(ids: Ids) {
    let before = ids.first.saturating_sub(1);
    let _ = writeln!(
        io::stderr(),
        "trap-server: {ids} were missing and are there now; they are not printed: read them with `--after {before}`"
    );
}
