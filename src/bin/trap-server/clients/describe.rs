//! The credentials, as `--check` prints them.

use std::io::ErrorKind;

use trap_server::config::{Config, Source};
use trap_server::credentials::roster::{self, Access, Count};
use trap_server::credentials::{Failed, Unusable};
use trap_server::database::{State, Trouble, look};

use crate::command::Failure;

/// The credentials of `config` in one line. Nothing is created or changed.
pub(crate) fn describe(config: &Config) -> Result<String, Failure> {
    match config.credentials.source {
        Source::List => Ok(format!("list: {} in the config", clients(config.credentials.clients.len()))),
        Source::Sqlite | Source::Postgres => counted(config, |Count { clients: all, disabled, .. }| {
            let disabled = if disabled > 0 { format!(", {disabled} disabled") } else { String::new() };
            format!("{}{disabled}", clients(all))
        }),
    }
}

/// Where rejected ids are recorded, in a line.
pub(crate) fn rejected(config: &Config) -> Result<String, Failure> {
    let credentials = &config.credentials;
    if credentials.max_unknown == 0 {
        return Ok("not recorded, because `max_unknown` is 0; the log has them".into());
    }
    if credentials.source == Source::List && !config.has_folder() {
        return Ok("not recorded, because no database is used; the log has them".into());
    }
    counted(config, |Count { rejected, .. }| format!("{rejected} recorded"))
}

/// What `shown` says of the database of ids, with its name.
fn counted(config: &Config, shown: impl Fn(Count) -> String) -> Result<String, Failure> {
    let path = &State::file(&config.store.path);
    let is_file = config.credentials.source != Source::Postgres;
    if is_file && look(path).is_err_and(|err| err.kind() == ErrorKind::NotFound) {
        return Ok(format!(
            "sqlite {}: does not exist yet; the server creates it at its start",
            path.display()
        ));
    }
    let count = || -> Result<String, Unusable> {
        let Some(mut roster) = roster::open(config, Access::Read)? else { return Ok(String::new()) };
        Ok(format!("{}: {}", roster.name(), shown(roster.count()?)))
    };
    match count() {
        // The message says that this is temporary.
        Err(Unusable::Failed(Failed::File(err))) if matches!(err.trouble(), Trouble::Older { .. }) => {
            Ok(format!("sqlite {err}"))
        }
        other => Ok(other?),
    }
}

fn clients(count: impl TryInto<u64>) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => "1 client".into(),
        count => format!("{count} clients"),
    }
}
