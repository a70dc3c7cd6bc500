//! `trap-server messages`: what devices sent, read from the store.

mod follow;
mod format;

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::Path;

use trap_server::config::{Config, StoreKind};
use trap_server::database::{self, Timestamp, look};
use trap_server::protocol::{BadClientId, ClientId};
use trap_server::store::sqlite::{Message, Reader, Selection};
use trap_server::when::{self, NotATime};

use self::format::Format;
use crate::command::Failure;
use crate::output::Printer;

const AFTER_HELP: &str = "\
table shows the beginning of the data, and what cannot be seen as \\xNN. csv and ndjson have all of it in base64, ndjson \
also as text if it is UTF-8. raw prints the bytes as they came, with nothing between them. The times that are printed are UTC.";

#[derive(clap::Args)]
#[command(after_help = format!("{}\n\n{AFTER_HELP}", when::HELP))]
pub(crate) struct Args {
    /// Only what this device sent
    #[arg(long, value_name = "ID", value_parser = client_id)]
    client: Option<ClientId>,

    /// Only what came then or later; a duration counts back from now
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// Only what came before; a duration counts back from now
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "follow")]
    until: Option<Timestamp>,

    /// Only the newest of all that, so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// How they are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Go on with what comes from now on
    #[arg(long)]
    follow: bool,
}

impl Args {
    fn selection(&self) -> Selection {
        let client = self.client.as_ref().map(ToString::to_string);
        Selection { client, since: self.since, until: self.until, limit: self.limit }
    }
}

fn client_id(text: &str) -> Result<ClientId, BadClientId> {
    text.try_into()
}

fn time(text: &str) -> Result<Timestamp, NotATime> {
    when::past(text).map(Timestamp::from)
}

/// Why the printing ended before its end.
enum Interrupted {
    Database(database::Error),
    Output(io::Error),
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
    let path = &config.store.file();
    if look(path).is_err_and(|err| err.kind() == ErrorKind::NotFound) {
        return Err(Failure::io(missing(path, config.store.kind, from)));
    }
    let reader = Reader::open(path).map_err(Failure::io)?;
    print(&reader, args).map_err(|stop| match stop {
        Interrupted::Database(err) => Failure::io(err),
        Interrupted::Output(err) => Failure::output(err),
    })
}

/// Why there is nothing to be read.
fn missing(path: &Path, store: StoreKind, from: &str) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let why = match store {
        StoreKind::Sqlite => "the server makes it when it starts",
        StoreKind::Log => {
            "the server does not make it, for `kind` is \"log\": what devices send is in its log"
        }
    };
    format!("there is no {}, which is `store.path` of {from}; {why}", absolute.display())
}

fn print(reader: &Reader, args: &Args) -> Result<(), Interrupted> {
    let selection = args.selection();
    let format = args.format.of_records();
    let mut messages = Messages {
        reader,
        client: selection.client.as_deref(),
        printer: Printer::new(format.unwrap_or_default())?,
        is_raw: format.is_none(),
    };
    if !messages.is_raw {
        messages.printer.header::<Message>()?;
    }
    // What comes from now on is not part of it, or it might never end.
    let all = reader.ids()?;
    for mut ids in reader.select(&selection, all.clone())? {
        messages.print(&mut ids)?;
    }
    // What stands above the messages, if there is none.
    messages.printer.flush()?;
    if args.follow {
        messages.follow(all.end)?;
    }
    Ok(())
}

/// Messages on their way to the output.
struct Messages<'a> {
    reader: &'a Reader,
    client: Option<&'a str>,
    printer: Printer,
    is_raw: bool,
}

impl Messages<'_> {
    /// Prints what `ids` holds, part by part, and moves it behind what is printed.
    fn print(&mut self, ids: &mut Range<i64>) -> Result<(), Interrupted> {
        while !ids.is_empty() {
            let messages: Vec<Message> = self.reader.read(ids, self.client)?;
            messages.iter().try_for_each(|message| match self.is_raw {
                true => self.printer.bytes(&message.data),
                false => self.printer.record(message),
            })?;
            self.printer.flush()?;
        }
        Ok(())
    }
}
