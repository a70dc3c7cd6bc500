//! Look-ups in the SQLite file, and its table of those who tried and may not. The file is read where blocking is allowed, so
//! that a slow disk holds up no worker, and a panic stays there.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::client::Standing;
use super::directory::{Asking, Directory, Failed, Keeper};
use super::queue::Turn;
use super::unknown::Attempt;
use crate::database::{self, Error, Identity, Timestamp, look};
use crate::protocol::ClientId;

const STANDING: &str = "SELECT enabled, expires_at FROM client WHERE id = ?";

const KEEP: &str =
    "INSERT INTO unknown_client (id, peer, first_at, last_at, times, reason) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET peer = excluded.peer, last_at = excluded.last_at,
         times = times + excluded.times, reason = excluded.reason";

/// Those that tried longest ago.
const DROP_OLDEST: &str = "DELETE FROM unknown_client WHERE id IN (
     SELECT id FROM unknown_client ORDER BY last_at LIMIT max(0, (SELECT count(*) FROM unknown_client) - ?))";

/// The table of ids.
pub(super) struct SqliteDirectory(Arc<File>);

struct File {
    path: PathBuf,
    timeout: Duration,
    idle: Mutex<Vec<Reader>>,
}

/// An open file, which may have been moved away meanwhile.
struct Reader {
    connection: Connection,
    identity: Option<Identity>,
}

impl SqliteDirectory {
    /// The file at `path`, which has so long for an answer.
    pub(super) fn new(path: PathBuf, timeout: Duration) -> Self {
        Self(Arc::new(File { path, timeout, idle: Mutex::default() }))
    }
}

impl Directory for SqliteDirectory {
    const AT_ONCE: usize = 4;

    fn look_up(&self, client: &ClientId, turn: Turn) -> Asking<Option<Standing>> {
        let (file, client) = (Arc::clone(&self.0), client.clone());
        Box::pin(async move {
            let answer = timeout(file.timeout, Arc::clone(&file).ask(client, turn)).await;
            answer.unwrap_or_else(|_| {
                Err(Failed::TooLate { database: file.path.display().to_string(), within: file.timeout })
            })
        })
    }
}

impl File {
    async fn ask(self: Arc<Self>, client: ClientId, turn: Turn) -> Result<Option<Standing>, Failed> {
        blocking(move || {
            let _turn = turn;
            self.read(&client)
        })
        .await
    }

    /// A connection whose reading failed is not used again.
    fn read(&self, client: &ClientId) -> Result<Option<Standing>, Error> {
        let reader = self.reader()?;
        let standing =
            standing(&reader.connection, client.as_str()).map_err(|err| Error::of(&self.path, &err))?;
        self.idle().push(reader);
        Ok(standing)
    }

    fn reader(&self) -> Result<Reader, Error> {
        let identity = look(&self.path).ok().map(|(identity, _)| identity);
        while let Some(reader) = self.pop_idle() {
            if identity.is_some() && reader.identity == identity {
                return Ok(reader);
            }
        }
        let connection = database::open_read_only_within(&database::SINGLE, &self.path, self.timeout)?;
        Ok(Reader { connection, identity })
    }

    fn pop_idle(&self) -> Option<Reader> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn standing(connection: &Connection, client: &str) -> rusqlite::Result<Option<Standing>> {
    let mut known = connection.prepare_cached(STANDING)?;
    let standing = known.query_row([client], |row| {
        Ok(Standing { enabled: row.get(0)?, expires_at: row.get::<_, Option<Timestamp>>(1)?.map(Into::into) })
    });
    standing.optional()
}

/// The table of those who tried and may not.
pub(super) struct Attempts(pub(super) PathBuf);

impl Keeper for Attempts {
    fn keep(&self, attempts: Vec<Attempt>, most: usize) -> Asking<()> {
        let path = self.0.clone();
        Box::pin(blocking(move || {
            let mut connection = database::open_for_command(&database::SINGLE, &path)?;
            keep(&mut connection, &attempts, most).map_err(|err| Error::of(&path, &err))
        }))
    }
}

fn keep(connection: &mut Connection, attempts: &[Attempt], most: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for Attempt { id, peer, first_at, last_at, times, reason } in attempts {
        let values = (id, peer, Timestamp::from(*first_at), Timestamp::from(*last_at), times, reason);
        transaction.prepare_cached(KEEP)?.execute(values)?;
    }
    transaction.execute(DROP_OLDEST, [most])?;
    transaction.commit()
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
    async fn a_panic_is_a_look_up_that_failed() {
        let failed = blocking::<()>(|| panic!("a fault of the reader")).await;
        assert!(matches!(failed, Err(Failed::Unasked(_))), "{failed:?}");
    }
}
