//! What `--check` finds beside the config: the stores, which it only reads.

use std::io::ErrorKind;

use trap_server::config::{Config, StoreKind};
use trap_server::database::look;
use trap_server::store::segments::folder::Folder;
use trap_server::store::segments::reader::Summary;

use crate::clients;
use crate::command::Failure;

/// A section about the stores that this config uses, a line for each. Fails if one of them is unusable.
pub(crate) fn stores(config: &Config) -> Result<String, Failure> {
    let store = match config.store.kind {
        StoreKind::Sqlite => segments(config)?,
        StoreKind::Log => "the log".into(),
    };
    let (credentials, rejected) = (clients::describe(config)?, clients::rejected(config)?);
    Ok(format!(
        "stores\n  {:<20}{store}\n  {:<20}{credentials}\n  {:<20}{rejected}\n",
        "store", "credentials", "rejected ids"
    ))
}

/// A summary of the segments.
fn segments(config: &Config) -> Result<String, Failure> {
    let folder = &Folder::of(&config.store.path);
    let path = folder.path().display();
    if look(folder.path()).is_err_and(|err| err.kind() == ErrorKind::NotFound) {
        return Ok(format!("{path}: not there yet; the server creates it when it starts"));
    }
    let summary = Summary::of(folder).map_err(Failure::io)?;
    Ok(format!("{path}: {summary}"))
}
