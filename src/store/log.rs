//! The store `log`: each SEND is a line of the log.

use log::{Level, info, log_enabled, warn};

use super::{Batch, NotStored, OriginRef, Store, StoreNow, Turn};
use crate::logging::escape;

/// Maximum bytes of data per line.
const SHOWN: usize = 64;

/// The log target of these lines, also for `RUST_LOG`.
const TARGET: &str = "trap_server::store";

/// Writes each SEND to the log at level `info`.
#[derive(Clone, Copy, Debug)]
pub struct Log(());

impl Log {
    /// Makes the store, with a warning if the log's level suppresses all of its lines.
    pub fn open() -> Self {
        if !log_enabled!(target: TARGET, Level::Info) {
            // Under another target, because this one may be switched off.
            warn!(
                target: "trap_server",
                "the store \"log\" writes nothing at this log level: SENDs are answered send_ok and lost"
            );
        }
        Self(())
    }
}

impl Store for Log {
    fn now(&self) -> Option<&dyn StoreNow> {
        Some(self)
    }

    /// There is nothing that it does not store immediately.
    fn take(&self, _: Turn<'_>) {}
}

impl StoreNow for Log {
    fn store_now(&self, origin: OriginRef<'_>, batch: &Batch) -> Result<(), NotStored> {
        if log_enabled!(target: TARGET, Level::Info) {
            batch.iter().for_each(|data| write(origin, data));
        }
        Ok(())
    }
}

fn write(OriginRef { client, peer, listener, .. }: OriginRef<'_>, data: &[u8]) {
    info!(
        target: TARGET,
        "SEND listener={listener} peer={peer} client={:?} bytes={} data=\"{}\"",
        client.as_str(),
        data.len(),
        escape(data, SHOWN)
    );
}
