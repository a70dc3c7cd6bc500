//! A reload, and its lines in the log.

use std::path::PathBuf;
use std::time::Duration;

use log::{error, info, warn};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use trap_server::config::{Change, Config, Effect};
use trap_server::logging;
use trap_server::server::{Reloaded, Running};

use crate::{defaults, load, lower};

/// Timeout of reading the file: it may be on a disk that hangs.
const READ: Duration = Duration::from_secs(10);

/// Reads the config file again and applies it to the server. After an error, the running config stays.
pub async fn reload(running: &mut Running, named: Option<PathBuf>) {
    let reloaded = match timeout(READ, spawn_blocking(move || load(named.as_deref()))).await {
        Ok(Ok(Ok((config, from)))) => apply(running, config, &from.unwrap_or_else(defaults)).await,
        Ok(Ok(Err(mistakes))) => Err(mistakes),
        Ok(Err(panic)) => Err(panic.to_string()),
        Err(_) => Err(format!("timed out after {}s reading the config", READ.as_secs())),
    };
    if let Err(why) = reloaded {
        // Mistakes are shown with the lines of the file, which are not for the log.
        let more = if why.lines().count() > 1 { " (`trap-server --check` reports all)" } else { "" };
        let first = why.lines().next().unwrap_or_default();
        error!("not reloaded, the running config stays in effect: {first}{more}");
    }
}

async fn apply(running: &mut Running, mut config: Config, from: &str) -> Result<(), String> {
    let warnings = lower(&mut config);
    let Reloaded { changes, failed } = running.reload(&config).await.map_err(|err| err.to_string())?;
    if !changes.is_empty() {
        warnings.iter().for_each(|warning| warn!("{warning}"));
    }
    let has_level = logging::set_level(config.log.level);
    let (restart, now): (Vec<_>, Vec<_>) =
        changes.iter().partition(|change| change.effect() == Effect::Restart);
    info!("reloaded {from} changes={} needs_restart={}", now.len(), restart.len());
    now.iter().for_each(|change| info!("changed {change}"));
    restart.iter().for_each(|change| warn!("not changed {change}"));
    failed.iter().for_each(|err| error!("not changed: {err}"));
    if !has_level && changes.iter().any(is_level) {
        warn!("log.level has no effect: RUST_LOG replaces it");
    }
    Ok(())
}

fn is_level(change: &Change) -> bool {
    matches!(change, Change::Changed { to, .. } if to.section == "log" && to.key == "level")
}
