//! Look-ups in the state, and its table of rejected ids. The state is read on blocking threads, so that a slow disk
//! does not block a worker, and a panic stays there.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::client::Standing;
use super::directory::{Asking, Directory, Failed, Keeper};
use super::queue::Turn;
use super::unknown::Attempt;
use crate::access::Networks;
use crate::database::{Error, State, Timestamp};
use crate::protocol::ClientId;

const STANDING: &str = "SELECT enabled, expires_at, networks FROM client WHERE id = ?";

const KEEP: &str =
    "INSERT INTO unknown_client (id, peer, first_at, last_at, times, reason) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET peer = excluded.peer, last_at = excluded.last_at,
         times = times + excluded.times, reason = excluded.reason";

/// Removes the ids with the oldest attempts.
const DROP_OLDEST: &str = "DELETE FROM unknown_client WHERE id IN (
     SELECT id FROM unknown_client ORDER BY last_at LIMIT max(0, (SELECT count(*) FROM unknown_client) - ?))";

/// The table of ids.
pub(super) struct SqliteDirectory {
    state: State,
    timeout: Duration,
}

impl SqliteDirectory {
    /// The table in `state`, with a timeout for each look-up.
    pub(super) const fn new(state: State, timeout: Duration) -> Self {
        Self { state, timeout }
    }
}

impl Directory for SqliteDirectory {
    const AT_ONCE: usize = 4;

    fn look_up(&self, client: &ClientId, turn: Turn) -> Asking<Option<Standing>> {
        let (state, within, client) = (self.state.clone(), self.timeout, client.clone());
        Box::pin(async move {
            let database = state.path().display().to_string();
            let answer = timeout(within, ask(state, client, turn)).await;
            answer.unwrap_or(Err(Failed::TooLate { database, within }))
        })
    }
}

async fn ask(state: State, client: ClientId, turn: Turn) -> Result<Option<Standing>, Failed> {
    blocking(move || {
        let _turn = turn;
        state.read(|connection| standing(connection, client.as_str()))
    })
    .await
}

fn standing(connection: &Connection, client: &str) -> rusqlite::Result<Option<Standing>> {
    let mut known = connection.prepare_cached(STANDING)?;
    let standing = known.query_row([client], |row| {
        let expires_at = row.get::<_, Option<Timestamp>>(1)?.map(Into::into);
        let networks = Networks::stored(row.get_ref(2)?.as_str()?);
        Ok(Standing { enabled: row.get(0)?, expires_at, networks })
    });
    standing.optional()
}

/// The table of rejected ids.
pub(super) struct Attempts(pub(super) State);

impl Keeper for Attempts {
    fn keep(&self, attempts: Vec<Attempt>, most: usize) -> Asking<()> {
        let kept = self.0.write(move |connection| keep(connection, &attempts, most));
        Box::pin(async { Ok(kept.await?) })
    }
}

fn keep(connection: &Connection, attempts: &[Attempt], most: usize) -> rusqlite::Result<()> {
    for Attempt { id, peer, first_at, last_at, times, reason } in attempts {
        let values = (id, peer, Timestamp::from(*first_at), Timestamp::from(*last_at), times, reason);
        connection.prepare_cached(KEEP)?.execute(values)?;
    }
    connection.execute(DROP_OLDEST, [most]).map(drop)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Failed> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(Failed::from),
        Err(err) => Err(Failed::Unasked(err.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failed_look_up() {
        let failed = blocking::<()>(|| panic!("a fault of the reader")).await;
        assert!(matches!(failed, Err(Failed::Unasked(_))), "{failed:?}");
    }
}
