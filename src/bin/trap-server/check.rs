//! What `--check` finds beside the config: the stores, which it only reads.

use std::io::ErrorKind;

use trap_server::config::{Config, StoreKind};
use trap_server::database::{Trouble, look};
use trap_server::store::sqlite::Reader;

use crate::clients;
use crate::command::Failure;

/// A section about the stores that this config uses, a line for each. Fails if one of them is unusable.
pub(crate) fn stores(config: &Config) -> Result<String, Failure> {
    let store = match config.store.kind {
        StoreKind::Sqlite => file(config)?,
        StoreKind::Log => "the log".into(),
    };
    let credentials = clients::describe(config)?;
    Ok(format!("stores\n  {:<20}{store}\n  {:<20}{credentials}\n", "store", "credentials"))
}

/// What the SQLite file is like.
fn file(config: &Config) -> Result<String, Failure> {
    let path = &config.store.file();
    if look(path).is_err_and(|err| err.kind() == ErrorKind::NotFound) {
        return Ok(format!("{}: not there yet; it is made when the server starts", path.display()));
    }
    match Reader::open(path).and_then(|reader| reader.summary()) {
        Ok(summary) => Ok(format!("{}: {summary}", path.display())),
        // The server mends that.
        Err(err) if matches!(err.trouble(), Trouble::Older { .. }) => Ok(err.to_string()),
        Err(err) => Err(Failure::io(err)),
    }
}
