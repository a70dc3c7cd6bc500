//! The stores and the certificates, as `--check` prints them; it only reads them.

use std::io::ErrorKind;
use std::path::Path;

use jiff::Timestamp;
use trap_server::config::{Config, Effect, StoreKind, changes};
use trap_server::database::look;
use trap_server::listener::tls::Loaded;
use trap_server::server;
use trap_server::store::segments::folder::Folder;
use trap_server::store::segments::reader::Summary;

use crate::clients;
use crate::command::Failure;
use crate::{lower, output};

/// Prints what a reload of `config` would change in a server that runs with the config in the file `running`.
pub(crate) fn against(running: &Path, mut config: Config, from: &str) -> Result<(), Failure> {
    let mut old = Config::load(running).map_err(Failure::usage)?;
    lower(&mut old);
    lower(&mut config);
    let changes = changes(&old, &config);
    let restart = changes.iter().filter(|change| change.effect() == Effect::Restart).count();
    let lines: Vec<_> = changes.iter().map(|change| format!("  {change}\n")).collect();
    let (running, now) = (running.display(), changes.len() - restart);
    let text = lines.concat();
    output::text(format_args!(
        "a reload of {from} over {running}: changes={now} needs_restart={restart}\n{text}"
    ))
}

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

/// A section about the certificates of each listener with TLS, a line for each. Fails if one of them is unusable.
pub(crate) fn certificates(config: &Config) -> Result<String, Failure> {
    let mut text = String::new();
    for (listener, Loaded { certificates, warnings, .. }) in
        server::certificates(config).map_err(Failure::usage)?
    {
        text.push_str(&format!("certificates {listener}\n"));
        for (file, summary) in certificates {
            let (subject, until) = (summary.subject, summary.until);
            let until = Timestamp::try_from(until).map_or_else(|_| "?".into(), |until| until.to_string());
            text.push_str(&format!("  {}: {subject}, expires {until}\n", file.display()));
        }
        warnings.iter().for_each(|warning| text.push_str(&format!("  warning: {warning}\n")));
    }
    Ok(text)
}

/// A summary of the segments.
fn segments(config: &Config) -> Result<String, Failure> {
    let folder = &Folder::of(&config.store.path);
    let path = folder.path().display();
    if look(folder.path()).is_err_and(|err| err.kind() == ErrorKind::NotFound) {
        return Ok(format!("{path}: does not exist yet; the server creates it at its start"));
    }
    let summary = Summary::of(folder).map_err(Failure::io)?;
    Ok(format!("{path}: {summary}"))
}
