//! The credentials, as `--check` prints them.

use std::io::ErrorKind;

use trap_server::config::{Config, Source};
use trap_server::credentials::roster::{self, Access, Count};
use trap_server::credentials::{Failed, Unusable};
use trap_server::database::{State, Trouble, look};

use crate::command::Failure;

/// The credentials of `config` in one line. Nothing is created or changed.
pub(crate) fn describe(config: &Config) -> Result<String, Failure> {
    let (credentials, path) = (&config.credentials, &State::file(&config.store.path));
    match credentials.source {
        Source::List => return Ok(format!("list: {} in the config", clients(credentials.clients.len()))),
        Source::Sqlite if look(path).is_err_and(|err| err.kind() == ErrorKind::NotFound) => {
            return Ok(format!(
                "sqlite {}: does not exist yet; the server creates it at its start",
                path.display()
            ));
        }
        Source::Sqlite | Source::Postgres => {}
    }
    match count(config) {
        // The message says that this is temporary.
        Err(Unusable::Failed(Failed::File(err))) if matches!(err.trouble(), Trouble::Older { .. }) => {
            Ok(format!("sqlite {err}"))
        }
        other => Ok(other?),
    }
}

fn count(config: &Config) -> Result<String, Unusable> {
    let Some(mut roster) = roster::open(config, Access::Read)? else { return Ok(String::new()) };
    let Count { clients: all, disabled } = roster.count()?;
    let disabled = if disabled > 0 { format!(", {disabled} disabled") } else { String::new() };
    Ok(format!("{}: {}{disabled}", roster.name(), clients(all)))
}

fn clients(count: impl TryInto<u64>) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => "1 client".into(),
        count => format!("{count} clients"),
    }
}
