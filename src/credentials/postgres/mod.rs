//! Look-ups in PostgreSQL, and its table of rejected ids. Everything happens on a thread of its own, which no
//! session can block, and which blocks no worker.
//!
//! | file | subject |
//! |---|---|
//! | `address` | from the config's `url` to a connection |
//! | `encoding` | the encoding of a database |
//! | `trouble` | the errors of a database, and what to do |

mod address;
mod encoding;
mod trouble;

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use deadpool_postgres::{
    Client as Connection, ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError,
    RecyclingMethod,
};
use log::warn;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{NoTls, Row};

use super::Unusable;
use super::client::Standing;
use super::directory::{Asking, Directory, Failed, Keeper};
use super::queue::Turn;
use super::unknown::Attempt;
use crate::access::Networks;
use crate::protocol::ClientId;

pub(super) use address::Address;
pub(super) use encoding::foreign;
pub(super) use trouble::trouble;

/// Look-ups leave one connection for recording rejected ids.
const CONNECTIONS: usize = Postgres::AT_ONCE + 1;

const STANDING: &str = "SELECT enabled, expires_at, array_to_string(networks, ' ') FROM client WHERE id = $1";

/// The ids of a batch are distinct.
const KEEP: &str = "INSERT INTO unknown_client AS kept (id, peer, first_at, last_at, times, reason)
     SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::text[])
     ON CONFLICT (id) DO UPDATE SET peer = excluded.peer, last_at = excluded.last_at,
         times = kept.times + excluded.times, reason = excluded.reason";

/// Removes the ids with the oldest attempts.
const DROP_OLDEST: &str = "DELETE FROM unknown_client WHERE id IN (
     SELECT id FROM unknown_client ORDER BY last_at DESC OFFSET $1)";

/// The tables of a database. A clone has the same connections.
#[derive(Clone)]
pub(super) struct Postgres(Arc<Shared>);

struct Shared {
    pool: Pool,
    database: String,
    timeout: Duration,
    thread: Handle,
    /// Dropping it ends the thread.
    _end: oneshot::Sender<()>,
}

impl Postgres {
    /// The database of `url`, with a timeout for each answer. It is tried immediately: a mistake is in the log before the
    /// first device connects. A database that is down is not an error; one in another encoding is.
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, Unusable> {
        let address = Address::parse(url, timeout)?;
        let database = address.to_string();
        let (thread, end) = start_thread().map_err(|err| Failed::Unasked(err.to_string()))?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.with_limit(timeout), NoTls, recycling);
        let check = Hook::async_fn(|connection, _| Box::pin(check_encoding(connection)));
        let pool = Pool::builder(manager).max_size(CONNECTIONS).post_create(check).build();
        let pool = pool.map_err(|err| Failed::Unasked(err.to_string()))?;
        let shared = Arc::new(Shared { pool, database, timeout, thread, _end: end });
        shared.try_out()?;
        Ok(Self(shared))
    }

    /// Runs a query on the thread. If the caller stops waiting, the query still completes, so that its
    /// connection can be used again.
    fn ask<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T, Failed>> + Send + 'static,
    ) -> Asking<T> {
        let asked = self.0.thread.spawn(question);
        Box::pin(async { asked.await.unwrap_or_else(|err| Err(Failed::Unasked(err.to_string()))) })
    }
}

async fn check_encoding(connection: &ClientWrapper) -> Result<(), HookError> {
    match foreign(connection).await.map_err(HookError::Backend)? {
        Some(encoding) => Err(HookError::Message(encoding.into())),
        None => Ok(()),
    }
}

fn start_thread() -> io::Result<(Handle, oneshot::Sender<()>)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (handle, (end, ended)) = (runtime.handle().clone(), oneshot::channel::<()>());
    thread::Builder::new().name("postgres".into()).spawn(move || {
        // It ends when the sender is dropped.
        let _ = runtime.block_on(ended);
    })?;
    Ok((handle, end))
}

impl Directory for Postgres {
    const AT_ONCE: usize = 7;

    fn look_up(&self, client: &ClientId, turn: Turn) -> Asking<Option<Standing>> {
        let (shared, client) = (Arc::clone(&self.0), client.clone());
        self.ask(async move {
            let _turn = turn;
            shared.standing(client.as_str()).await
        })
    }
}

impl Keeper for Postgres {
    fn keep(&self, attempts: Vec<Attempt>, most: usize) -> Asking<()> {
        let shared = Arc::clone(&self.0);
        self.ask(async move {
            let deadline = Instant::now() + shared.timeout;
            let mut connection = shared.connection(deadline).await?;
            let kept = timeout_at(deadline, keep(&mut connection, attempts, most)).await.ok();
            shared.settle(connection, kept)
        })
    }
}

impl Shared {
    /// Looks up an id that cannot exist, and waits for the answer, which comes within the timeout.
    fn try_out(self: &Arc<Self>) -> Result<(), Failed> {
        let (answer, answered) = mpsc::channel();
        let shared = Arc::clone(self);
        self.thread.spawn(async move { answer.send(shared.standing("").await) });
        match answered.recv() {
            Ok(Err(err @ Failed::Encoding { .. })) => return Err(err),
            Ok(Err(err)) => warn!("{err}. Each look-up tries again"),
            Ok(Ok(_)) | Err(_) => {}
        }
        Ok(())
    }

    async fn standing(&self, client: &str) -> Result<Option<Standing>, Failed> {
        let deadline = Instant::now() + self.timeout;
        let connection = self.connection(deadline).await?;
        let answer = timeout_at(deadline, standing(&connection, client)).await.ok();
        self.settle(connection, answer)
    }

    async fn connection(&self, deadline: Instant) -> Result<Connection, Failed> {
        match timeout_at(deadline, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(PoolError::Backend(err) | PoolError::PostCreateHook(HookError::Backend(err)))) => {
                Err(self.failed(&err))
            }
            Ok(Err(PoolError::PostCreateHook(HookError::Message(encoding)))) => {
                let database = self.database.clone();
                Err(Failed::Encoding { database, encoding: encoding.into_owned() })
            }
            Ok(Err(err)) => Err(Failed::Unasked(err.to_string())),
            Err(_) => Err(self.too_late()),
        }
    }

    /// A connection that failed or timed out is closed: later queries would wait behind that one.
    fn settle<T>(
        &self,
        connection: Connection,
        answer: Option<Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failed> {
        let failed = match answer {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(err)) if trouble::concerns_the_id(&err) => {
                return Err(Failed::Id { database: self.database.clone(), trouble: trouble(&err) });
            }
            Some(Err(err)) => self.failed(&err),
            None => self.too_late(),
        };
        drop(Object::take(connection));
        Err(failed)
    }

    fn failed(&self, err: &tokio_postgres::Error) -> Failed {
        Failed::Postgres { database: self.database.clone(), trouble: trouble(err) }
    }

    fn too_late(&self) -> Failed {
        Failed::TooLate { database: self.database.clone(), within: self.timeout }
    }
}

async fn standing(connection: &Connection, client: &str) -> Result<Option<Standing>, tokio_postgres::Error> {
    let known = connection.prepare_cached(STANDING).await?;
    let row = connection.query_opt(&known, &[&client]).await?;
    let standing = |row: Row| {
        let networks = Networks::stored(row.try_get(2)?);
        Ok(Standing { enabled: row.try_get(0)?, expires_at: row.try_get(1)?, networks })
    };
    row.map(standing).transpose()
}

async fn keep(
    connection: &mut Connection,
    attempts: Vec<Attempt>,
    most: usize,
) -> Result<(), tokio_postgres::Error> {
    let text = |of: fn(&Attempt) -> &str| attempts.iter().map(of).collect::<Vec<_>>();
    let times = |of: fn(&Attempt) -> SystemTime| attempts.iter().map(of).collect::<Vec<_>>();
    let (ids, peers, reasons) = (text(|one| &one.id), text(|one| &one.peer), text(|one| &one.reason));
    let (first, last) = (times(|one| one.first_at), times(|one| one.last_at));
    let counts: Vec<_> = attempts.iter().map(|one| i64::try_from(one.times).unwrap_or(i64::MAX)).collect();
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let transaction = connection.transaction().await?;
    transaction.execute(KEEP, &[&ids, &peers, &first, &last, &counts, &reasons]).await?;
    transaction.execute(DROP_OLDEST, &[&most]).await?;
    transaction.commit().await
}
