//! The tables of ids in PostgreSQL.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client as Connection, Error, NoTls, Row, Transaction};

use super::{Count, Entry, Imported, Obstacle, PAGE, Roster};
use crate::access::Networks;
use crate::credentials::client::{Client, Standing};
use crate::credentials::postgres::{Address, foreign, trouble};
use crate::credentials::unknown::Attempt;
use crate::credentials::{Failed, Unusable};
use crate::protocol::ClientId;

/// The timeout of one statement, including its wait for locks.
const STATEMENT: Duration = Duration::from_secs(60);

/// The columns of an [`Entry`]: `$4` distinguishes an expiry that becomes never from one that is kept.
const ENTRIES: &str = "unnest($1::text[], $2::bool[], $3::text[], $4::bool[], $5::timestamptz[], $6::text[])
     AS entry (id, enabled, note, has_expiry, expires_at, networks)";

const ADD: &str = "INSERT INTO client (id, enabled, note, expires_at, networks, created_at)
     SELECT id, coalesce(enabled, true), coalesce(note, ''), expires_at,
         string_to_array(coalesce(networks, ''), ' ')::cidr[], now() FROM {entries}
     ON CONFLICT (id) DO NOTHING RETURNING id";

const UPDATE: &str = "UPDATE client SET enabled = coalesce(entry.enabled, client.enabled),
     note = coalesce(entry.note, client.note),
     expires_at = CASE WHEN entry.has_expiry THEN entry.expires_at ELSE client.expires_at END,
     networks = coalesce(string_to_array(entry.networks, ' ')::cidr[], client.networks)
     FROM {entries} WHERE client.id = entry.id RETURNING client.id";

/// An id that may authenticate now is no longer a rejected one, unless it came from elsewhere.
const FORGET: &str = "DELETE FROM unknown_client WHERE reason <> 'elsewhere' AND id IN (
     SELECT id FROM client WHERE enabled AND (expires_at IS NULL OR expires_at > now()))";

/// The networks of these ids have changed.
const FORGET_ELSEWHERE: &str = "DELETE FROM unknown_client WHERE reason = 'elsewhere' AND id = ANY ($1)";

const FIND: &str = "SELECT EXISTS (SELECT FROM client WHERE client.id = entry.id),
     EXISTS (SELECT FROM unknown_client WHERE unknown_client.id = entry.id)
     FROM unnest($1::text[]) WITH ORDINALITY AS entry (id, number) ORDER BY number";

const CLIENTS: &str = "SELECT id, enabled, note, expires_at, array_to_string(networks, ' '), created_at
     FROM client WHERE id > $1 ORDER BY id LIMIT $2";

const UNKNOWN: &str =
    "SELECT id, peer, first_at, last_at, times, reason FROM unknown_client ORDER BY last_at DESC, id";

const COUNT: &str =
    "SELECT count(*), count(*) FILTER (WHERE NOT enabled), (SELECT count(*) FROM unknown_client)
     FROM client";

/// A connection to the database, on the thread that uses it.
pub(super) struct Postgres {
    runtime: Runtime,
    connection: Connection,
    database: String,
}

impl Postgres {
    /// Connects to the database of `url`, with this timeout.
    pub(super) fn open(url: &str, timeout: Duration) -> Result<Self, Unusable> {
        let address = Address::parse(url, timeout)?;
        let database = address.to_string();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|err| Failed::Unasked(err.to_string()))?;
        let (connection, task) = runtime
            .block_on(address.with_limit(STATEMENT).connect(NoTls))
            .map_err(|err| failed(&database, &err))?;
        // Its errors are those of the queries.
        drop(runtime.spawn(task));
        match runtime.block_on(foreign(&connection)).map_err(|err| failed(&database, &err))? {
            Some(encoding) => Err(Failed::Encoding { database, encoding }.into()),
            None => Ok(Self { runtime, connection, database }),
        }
    }

    /// Does all of `work`, or nothing if it fails.
    fn change<T>(
        &mut self,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Failed> {
        let Self { runtime, connection, database } = self;
        let change = async {
            let transaction = connection.transaction().await?;
            let done = work(&transaction).await?;
            transaction.execute(FORGET, &[]).await?;
            transaction.commit().await?;
            Ok(done)
        };
        runtime.block_on(change).map_err(|err| failed(database, &err))
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
        read: fn(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Failed> {
        let rows = self.runtime.block_on(self.connection.query(sql, values));
        let rows = rows.and_then(|rows| rows.iter().map(read).collect());
        rows.map_err(|err| failed(&self.database, &err))
    }
}

fn failed(database: &str, err: &Error) -> Failed {
    Failed::Postgres { database: database.into(), trouble: trouble(err) }
}

impl Roster for Postgres {
    fn name(&self) -> String {
        self.database.clone()
    }

    fn add(&mut self, client: &Entry) -> Result<bool, Failed> {
        self.change(async |transaction| Ok(add(transaction, std::slice::from_ref(client)).await? > 0))
    }

    fn remove(&mut self, client: &ClientId) -> Result<bool, Failed> {
        self.change(async |transaction| {
            let sql = "DELETE FROM client WHERE id = $1";
            Ok(transaction.execute(sql, &[&client.as_str()]).await? > 0)
        })
    }

    fn enable(&mut self, client: &ClientId, enabled: bool) -> Result<bool, Failed> {
        self.change(async |transaction| {
            let sql = "UPDATE client SET enabled = $2 WHERE id = $1";
            Ok(transaction.execute(sql, &[&client.as_str(), &enabled]).await? > 0)
        })
    }

    fn approve(&mut self, entries: &[Entry]) -> Result<Vec<(ClientId, Obstacle)>, Failed> {
        self.change(async |transaction| {
            let obstacles = obstacles(transaction, entries).await?;
            if obstacles.is_empty() {
                add(transaction, entries).await?;
            }
            Ok(obstacles)
        })
    }

    fn import(&mut self, entries: &[Entry]) -> Result<Imported, Failed> {
        self.change(async |transaction| {
            let mut added = 0;
            for entries in entries.chunks(PAGE) {
                // Existing ids first: added ones would be updated too.
                run(transaction, UPDATE, entries).await?;
                added += add(transaction, entries).await?;
            }
            Ok(Imported { added, updated: entries.len() - added })
        })
    }

    fn page(&mut self, after: &str) -> Result<Vec<Client>, Failed> {
        let page = i64::try_from(PAGE).unwrap_or(i64::MAX);
        self.rows(CLIENTS, &[&after, &page], client)
    }

    fn unknown(&mut self) -> Result<Vec<Attempt>, Failed> {
        self.rows(UNKNOWN, &[], attempt)
    }

    fn count(&mut self) -> Result<Count, Failed> {
        let count = self.rows(COUNT, &[], |row| {
            let number = |column| row.try_get::<_, i64>(column).map(i64::unsigned_abs);
            Ok(Count { clients: number(0)?, disabled: number(1)?, rejected: number(2)? })
        })?;
        Ok(count.into_iter().next().unwrap_or(Count { clients: 0, disabled: 0, rejected: 0 }))
    }
}

/// Adds the new ones among `entries`. Returns their number.
async fn add(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<usize, Error> {
    run(transaction, ADD, entries).await
}

async fn run(transaction: &Transaction<'_>, sql: &str, entries: &[Entry]) -> Result<usize, Error> {
    let ids: Vec<_> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let enabled: Vec<_> = entries.iter().map(|entry| entry.enabled).collect();
    let notes: Vec<_> = entries.iter().map(|entry| entry.note.as_deref()).collect();
    let has_expiry: Vec<_> = entries.iter().map(|entry| entry.expires_at.is_some()).collect();
    let expires_at: Vec<Option<SystemTime>> =
        entries.iter().map(|entry| entry.expires_at.flatten()).collect();
    let networks: Vec<_> =
        entries.iter().map(|entry| entry.networks.as_ref().map(Networks::to_string)).collect();
    let sql = sql.replace("{entries}", ENTRIES);
    let values: [&(dyn ToSql + Sync); 6] = [&ids, &enabled, &notes, &has_expiry, &expires_at, &networks];
    let changed = transaction.query(&sql, &values).await?;
    forget_elsewhere(transaction, entries, &changed).await?;
    Ok(changed.len())
}

/// Of the rows that were changed, those whose networks were.
async fn forget_elsewhere(
    transaction: &Transaction<'_>,
    entries: &[Entry],
    changed: &[Row],
) -> Result<(), Error> {
    let changed = changed.iter().map(|row| row.try_get::<_, &str>(0)).collect::<Result<HashSet<_>, _>>()?;
    let ids = entries.iter().filter(|entry| entry.networks.is_some()).map(|entry| entry.id.as_str());
    let ids: Vec<_> = ids.filter(|id| changed.contains(id)).collect();
    transaction.execute(FORGET_ELSEWHERE, &[&ids]).await.map(drop)
}

/// The ids that cannot be approved.
async fn obstacles(
    transaction: &Transaction<'_>,
    entries: &[Entry],
) -> Result<Vec<(ClientId, Obstacle)>, Error> {
    let ids: Vec<_> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let mut obstacles = Vec::new();
    for (entry, row) in entries.iter().zip(transaction.query(FIND, &[&ids]).await?) {
        let obstacle = Obstacle::of(row.try_get(0)?, row.try_get(1)?);
        obstacles.extend(obstacle.map(|obstacle| (entry.id.clone(), obstacle)));
    }
    Ok(obstacles)
}

fn client(row: &Row) -> Result<Client, Error> {
    let networks = Networks::stored(row.try_get(4)?);
    let standing = Standing { enabled: row.try_get(1)?, expires_at: row.try_get(3)?, networks };
    Ok(Client { id: row.try_get(0)?, standing, note: row.try_get(2)?, created_at: row.try_get(5)? })
}

fn attempt(row: &Row) -> Result<Attempt, Error> {
    Ok(Attempt {
        id: row.try_get(0)?,
        peer: row.try_get(1)?,
        first_at: row.try_get(2)?,
        last_at: row.try_get(3)?,
        times: row.try_get::<_, i64>(4)?.unsigned_abs(),
        reason: row.try_get(5)?,
    })
}
