//! The store `log`: each SEND is a line of the log.

use log::{Level, info, log_enabled};

use super::store::{Batch, NotStored, Origin, Store, Storing};
use crate::logging::escape;

/// How much of the data a line shows, in bytes.
const SHOWN: usize = 64;

/// Writes each SEND to the log at `info`.
#[derive(Clone, Copy, Debug)]
pub struct Log;

impl Store for Log {
    fn store(&self, origin: &Origin, batch: &mut Batch) -> Storing {
        if log_enabled!(Level::Info) {
            batch.iter().for_each(|data| write(origin, data));
        }
        batch.clear();
        Storing::Now(Ok::<(), NotStored>(()))
    }
}

fn write(Origin { client, peer, listener, .. }: &Origin, data: &[u8]) {
    info!(
        "SEND listener={listener} peer={peer} client={:?} bytes={} data=\"{}\"",
        client.as_str(),
        data.len(),
        escape(data, SHOWN)
    );
}
