//! The store `log`: each SEND is a line of the log.

use log::{Level, info, log_enabled, warn};

use super::store::{Batch, NotStored, Origin, Store, Storing};
use crate::logging::escape;

/// How much of the data a line shows, in bytes.
const SHOWN: usize = 64;

/// Whose lines these are, to a reader of the log and to `RUST_LOG`.
const TARGET: &str = "trap_server::uplink";

/// Writes each SEND to the log at `info`.
#[derive(Clone, Copy, Debug)]
pub struct Log(());

impl Log {
    /// The store, with a warning if the log's level lets nothing of it through.
    pub fn open() -> Self {
        if !log_enabled!(target: TARGET, Level::Info) {
            // Under another name, for this one may be switched off.
            warn!(
                target: "trap_server",
                "the store \"log\" shows nothing at this level of the log: SENDs are answered send_ok and lost"
            );
        }
        Self(())
    }
}

impl Store for Log {
    fn store(&self, origin: &Origin, batch: &mut Batch) -> Storing {
        if log_enabled!(target: TARGET, Level::Info) {
            batch.iter().for_each(|data| write(origin, data));
        }
        batch.clear();
        Storing::Now(Ok::<(), NotStored>(()))
    }
}

fn write(Origin { client, peer, listener, .. }: &Origin, data: &[u8]) {
    info!(
        target: TARGET,
        "SEND listener={listener} peer={peer} client={:?} bytes={} data=\"{}\"",
        client.as_str(),
        data.len(),
        escape(data, SHOWN)
    );
}
