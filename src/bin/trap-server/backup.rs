//! `trap-server backup` and `trap-server restore`: copy the data, and copy it back.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytesize::ByteSize;
use trap_server::config::Config;
use trap_server::database::{SINGLE_FILE, State, look};
use trap_server::store::backup::{self, Failed, Manifest, Step};
use trap_server::store::segments::folder::Folder;
use trap_server::store::segments::reader::Lost;

use crate::command::Failure;
use crate::messages;
use crate::output;
use crate::progress::Progress;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of the backup
    folder: PathBuf,
}

/// Makes a backup. A segment that cannot be read is reported, and everything else is in the backup.
pub(crate) fn save(args: &Args, config: &Config, from: &str) -> Result<(), Failure> {
    let data = &config.store.path;
    let messages = Folder::of(data);
    // Without the other two, a file of a former version may be there, which is refused by name.
    let places = [messages.path(), &State::file(data), &data.join(SINGLE_FILE)];
    if places.iter().all(|place| look(place).is_err()) {
        return Err(Failure::io(messages::missing(messages.path(), config.store.kind, from)));
    }
    let work = |tell: &mut dyn FnMut(Step)| backup::save(data, &args.folder, tell);
    run(&format!("backup of {}", shown(data)), &args.folder, work)
}

/// Copies a backup to the data folder.
pub(crate) fn restore(args: &Args, config: &Config) -> Result<(), Failure> {
    let data = &config.store.path;
    let work = |tell: &mut dyn FnMut(Step)| backup::restore(&args.folder, data, tell);
    run(&format!("restored {}", shown(&args.folder)), data, work)
}

/// Runs a copy to `to`, with a bar, and prints a summary.
fn run(
    what: &str,
    to: &Path,
    work: impl FnOnce(&mut dyn FnMut(Step)) -> Result<Manifest, Failed>,
) -> Result<(), Failure> {
    let start = Instant::now();
    let progress = Progress::bytes();
    let mut unreadable = 0;
    let copied = work(&mut |step| match step {
        Step::Total(bytes) => progress.total(bytes),
        Step::Copied(bytes) => progress.add(bytes),
        Step::Lost(lost) => {
            unreadable += usize::from(lost.is_failure());
            let _ = progress.aside(|| writeln!(io::stderr(), "trap-server: {}", told(&lost)));
        }
    });
    drop(progress);
    let manifest = copied.map_err(Failure::io)?;
    let seconds = start.elapsed().as_secs_f64();
    output::line(format_args!("{what} to {}: {}, {seconds:.1}s", shown(to), contents(&manifest)))?;
    match unreadable {
        0 => Ok(()),
        count => Err(Failure::io(messages::unread(count))),
    }
}

fn told(lost: &Lost) -> String {
    match lost {
        Lost::Removed { segment, ids } => {
            format!(
                "segment {} was removed before it was copied: {ids} are not in the backup",
                segment.display()
            )
        }
        lost => lost.to_string(),
    }
}

fn contents(manifest: &Manifest) -> String {
    let segments = match manifest.segments() {
        1 => "1 segment".into(),
        count => format!("{count} segments"),
    };
    let ids = match (manifest.first_id, manifest.last_id) {
        (Some(first), Some(last)) if first == last => format!("1 message ({first})"),
        (Some(first), Some(last)) => format!("{} messages ({first} to {last})", manifest.messages),
        _ => "no messages".into(),
    };
    format!("{segments}, {ids}, {}", ByteSize(manifest.bytes()))
}

fn shown(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.into()).display().to_string()
}
