//! `trap-server clients`: lists and changes the ids that may authenticate, while a server may run.
//!
//! | file | subject |
//! |---|---|
//! | `import` | a csv file of ids, and its mistakes |
//! | `quotes` | the quotes of a csv line |
//! | `print` | printing ids |
//! | `describe` | a summary for `--check` |

mod describe;
mod import;
mod print;
mod quotes;

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Subcommand;
use ipnet::IpNet;
use trap_server::access::{Networks, parse_network};
use trap_server::config::{ClientPattern, Config, Source};
use trap_server::credentials::client::Client;
use trap_server::credentials::roster::{self, Access, Entry, Imported, Obstacle, Roster};
use trap_server::credentials::unknown::Attempt;
use trap_server::credentials::{Failed, Unusable};
use trap_server::protocol::{BadClientId, ClientId};
use trap_server::when;

use crate::command::Failure;
use crate::output::{self, Format, Printer, Record};

pub(crate) use self::describe::{describe, rejected};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Add an id
    Add(Add),
    /// Add ids that were rejected as unknown: all of them, or none if one cannot be added
    Approve(Approve),
    /// Remove an id; an open session stays until its device has to authenticate again
    Remove(Id),
    /// Enable a disabled id
    Enable(Id),
    /// Disable an id: it is rejected, and keeps its note and expiry
    Disable(Id),
    /// Print all ids; `clients import` reads this list in csv
    List(List),
    /// Add and change the ids of a csv file: all lines, or none if one has a mistake
    Import(Import),
    /// Print rejected ids, the newest first; `clients import` does not read this list
    Unknown(List),
}

#[derive(clap::Args)]
struct Id {
    /// 1 to 255 bytes without control characters
    #[arg(value_parser = client_id)]
    id: ClientId,
}

#[derive(clap::Args)]
#[command(after_help = when::HELP)]
struct Add {
    #[command(flatten)]
    id: Id,
    /// A note for operators, on one line
    #[arg(long, value_parser = note)]
    note: Option<String>,
    /// Time of expiry; a duration counts from now
    #[arg(long, value_name = "TIME", value_parser = when::future)]
    expires: Option<SystemTime>,
    /// Add it disabled
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    from: Origin,
}

#[derive(clap::Args)]
struct Approve {
    /// Ids as `clients unknown` prints them
    #[arg(required = true, value_name = "ID", value_parser = client_id)]
    ids: Vec<ClientId>,
    #[command(flatten)]
    from: Origin,
}

#[derive(clap::Args)]
struct Origin {
    /// A network from which the id may come; may be repeated. Without it, the id may come from everywhere
    #[arg(long = "from", value_name = "CIDR", value_parser = parse_network)]
    networks: Vec<IpNet>,
}

impl Origin {
    fn networks(&self) -> Networks {
        Networks::of(self.networks.iter().copied())
    }
}

#[derive(clap::Args)]
struct List {
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(clap::Args)]
#[command(after_help = when::HELP)]
struct Import {
    /// The csv file, "-" is standard input. Its first line names the columns: id, and optionally enabled, note, expires_at,
    /// networks. `expires_at` is a TIME, or empty for never; `networks` are separated by spaces, or empty for everywhere
    file: PathBuf,
}

fn client_id(text: &str) -> Result<ClientId, BadClientId> {
    ClientId::try_from(text)
}

/// Maximum bytes of a note.
const NOTE: usize = 1000;

fn note(text: &str) -> Result<String, String> {
    if text.len() > NOTE || text.chars().any(char::is_control) {
        return Err(format!("expected a line of at most {NOTE} bytes without control characters"));
    }
    Ok(text.into())
}

pub(super) fn run(args: &Args, config: &Config) -> Result<(), Failure> {
    match &args.action {
        Action::Add(args) => add(args, config),
        Action::Approve(args) => approve(args, config),
        Action::Remove(Id { id }) => changed(writable(config)?.remove(id)?, id),
        Action::Enable(Id { id }) => changed(writable(config)?.enable(id, true)?, id),
        Action::Disable(Id { id }) => changed(writable(config)?.enable(id, false)?, id),
        Action::List(args) => list(args, config),
        Action::Import(args) => import(args, config),
        Action::Unknown(args) => unknown(args, config),
    }
}

fn add(args: &Add, config: &Config) -> Result<(), Failure> {
    let id = args.id.id.clone();
    let entry = Entry {
        id: id.clone(),
        enabled: Some(!args.disabled),
        note: args.note.clone(),
        expires_at: Some(args.expires),
        networks: Some(args.from.networks()),
    };
    if writable(config)?.add(&entry)? {
        return Ok(());
    }
    Err(Failure::no(format!(
        "{id:?} exists already; `clients enable` and `disable` switch it, `clients import` changes its note, its \
         expiry and its networks",
        id = id.as_str()
    )))
}

fn approve(args: &Approve, config: &Config) -> Result<(), Failure> {
    let entry = |id: &ClientId| Entry {
        id: id.clone(),
        enabled: Some(true),
        note: None,
        expires_at: None,
        networks: Some(args.from.networks()),
    };
    let entries: Vec<_> = args.ids.iter().map(entry).collect();
    let obstacles = writable(config)?.approve(&entries)?;
    if obstacles.is_empty() {
        return Ok(());
    }
    let told: Vec<_> =
        obstacles.iter().map(|(id, obstacle)| format!("{:?} {}", id.as_str(), hint(*obstacle))).collect();
    Err(Failure::no(format!("nothing was approved:\n{}", told.join("\n"))))
}

const fn hint(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::Known => {
            "exists already; `clients enable` enables it, `clients import` changes its expiry and its networks"
        }
        Obstacle::NotRejected => {
            "is not a rejected id; `clients unknown` prints them, `clients add` adds any other id"
        }
    }
}

fn changed(is_there: bool, id: &ClientId) -> Result<(), Failure> {
    if is_there {
        return Ok(());
    }
    Err(Failure::no(format!("{:?} does not exist; `clients list` prints all ids", id.as_str())))
}

fn list(args: &List, config: &Config) -> Result<(), Failure> {
    if config.credentials.source == Source::List {
        let clients = &config.credentials.clients;
        return printed(|| print(&mut printer::<ClientPattern>(args.format)?, clients));
    }
    let mut roster = open(config, Access::Read)?;
    let mut printer = printed(|| printer::<Client>(args.format))?;
    let mut last = String::new();
    loop {
        let page = roster.page(&last)?;
        printed(|| print(&mut printer, &page))?;
        match page.into_iter().next_back() {
            Some(client) => last = client.id,
            None => return Ok(()),
        }
    }
}

fn import(args: &Import, config: &Config) -> Result<(), Failure> {
    // Before the file is read: with the source `list`, an import is not possible.
    let mut roster = writable(config)?;
    let entries = import::read(&args.file)?;
    let Imported { added, updated } = roster.import(&entries)?;
    output::line(format_args!("{added} added, {updated} updated"))
}

fn unknown(args: &List, config: &Config) -> Result<(), Failure> {
    let attempts = open(config, Access::Read)?.unknown()?;
    printed(|| print(&mut printer::<Attempt>(args.format)?, &attempts))
}

/// A printer that has printed the header of these records.
fn printer<R: Record>(format: Format) -> io::Result<Printer> {
    let mut printer = Printer::new(format)?;
    printer.header::<R>()?;
    Ok(printer)
}

fn print<R: Record>(printer: &mut Printer, records: &[R]) -> io::Result<()> {
    records.iter().try_for_each(|record| printer.record(record))?;
    printer.flush()
}

fn printed<T>(print: impl FnOnce() -> io::Result<T>) -> Result<T, Failure> {
    print().map_err(Failure::output)
}

fn writable(config: &Config) -> Result<Box<dyn Roster>, Failure> {
    if config.credentials.source == Source::List {
        return Err(Failure::usage(
            "with source = \"list\", the ids are in `clients` of [credentials]: change them there and restart the \
             server, or set source = \"sqlite\" to change them while it runs",
        ));
    }
    open(config, Access::Write)
}

fn open(config: &Config, access: Access) -> Result<Box<dyn Roster>, Failure> {
    roster::open(config, access)?.ok_or_else(|| {
        Failure::usage(
            "with source = \"list\" and store.kind = \"log\", rejected ids are not recorded; the log has them",
        )
    })
}

impl From<Failed> for Failure {
    fn from(err: Failed) -> Self {
        Self::io(err)
    }
}

impl From<Unusable> for Failure {
    fn from(err: Unusable) -> Self {
        if err.is_mistake() { Self::usage(err) } else { Self::io(err) }
    }
}
