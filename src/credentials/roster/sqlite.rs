//! The tables of ids in the SQLite file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, Row, TransactionBehavior};

use super::{Access, Count, Entry, Imported, Obstacle, PAGE, Roster};
use crate::access::Networks;
use crate::credentials::Failed;
use crate::credentials::client::{Client, Standing};
use crate::credentials::unknown::Attempt;
use crate::database::{
    self, Error, Identity, SINGLE_FILE, STATE, State, Timestamp, Trouble, holder, identity_of,
};
use crate::protocol::ClientId;

/// How long a command waits for a file that a server is about to put in its place, and between two looks.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

const ADD: &str = "INSERT INTO client (id, enabled, note, expires_at, networks, created_at)
     VALUES (?, coalesce(?, 1), coalesce(?, ''), ?, coalesce(?, ''), ?) ON CONFLICT (id) DO NOTHING";

const UPDATE: &str = "UPDATE client SET enabled = coalesce(?2, enabled), note = coalesce(?3, note),
     expires_at = CASE WHEN ?4 THEN ?5 ELSE expires_at END, networks = coalesce(?6, networks) WHERE id = ?1";

/// An id that may authenticate now is no longer a rejected one, unless it came from elsewhere.
const FORGET: &str = "DELETE FROM unknown_client WHERE reason <> 'elsewhere' AND id IN (
     SELECT id FROM client WHERE enabled AND (expires_at IS NULL OR expires_at > ?))";

/// The networks of the id have changed.
const FORGET_ELSEWHERE: &str = "DELETE FROM unknown_client WHERE reason = 'elsewhere' AND id = ?";

const FIND: &str = "SELECT EXISTS (SELECT 1 FROM client WHERE id = ?1),
     EXISTS (SELECT 1 FROM unknown_client WHERE id = ?1)";

const CLIENTS: &str =
    "SELECT id, enabled, note, expires_at, networks, created_at FROM client WHERE id > ? ORDER BY id LIMIT ?";

const UNKNOWN: &str =
    "SELECT id, peer, first_at, last_at, times, reason FROM unknown_client ORDER BY last_at DESC, id";

const COUNT: &str =
    "SELECT count(*), count(*) FILTER (WHERE NOT enabled), (SELECT count(*) FROM unknown_client)
     FROM client";

/// The file.
pub(super) struct SqliteRoster {
    connection: Connection,
    path: PathBuf,
    identity: Option<Identity>,
}

impl SqliteRoster {
    /// Opens the state in the data folder. Waits while a server creates, upgrades or rewrites it.
    pub(super) fn open(folder: &Path, access: Access) -> Result<Self, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::open_now(folder, access) {
                Err(err) if passes(&err, folder) && Instant::now() < deadline => thread::sleep(PAUSE),
                opened => return opened,
            }
        }
    }

    fn open_now(folder: &Path, access: Access) -> Result<Self, Error> {
        let path = State::file(folder);
        if !path.exists() {
            may_be_missing(folder, &path)?;
        }
        let connection = match access {
            Access::Read => database::open_read_only(&STATE, &path)?,
            Access::Write => database::open_for_command(&STATE, &path)?,
        };
        let identity = identity_of(&path);
        Ok(Self { connection, path, identity })
    }

    /// Does all of `work`, or nothing if it fails.
    fn change<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Failed> {
        let change = || {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.execute(FORGET, [Timestamp::now()])?;
            transaction.commit()?;
            Ok(done)
        };
        let done = change().map_err(|err| Error::of(&self.path, &err))?;
        // A server that rewrites the file meanwhile may have copied it before the change.
        if identity_of(&self.path) != self.identity {
            return Err(Error::new(&self.path, Trouble::Replaced).into());
        }
        Ok(done)
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Failed> {
        let rows = || -> rusqlite::Result<Vec<T>> {
            self.connection.prepare_cached(sql)?.query_map(values, read)?.collect()
        };
        rows().map_err(|err| Error::of(&self.path, &err).into())
    }
}

impl Roster for SqliteRoster {
    fn name(&self) -> String {
        format!("sqlite {}", self.path.display())
    }

    fn add(&mut self, client: &Entry) -> Result<bool, Failed> {
        self.change(|connection| add(connection, client))
    }

    fn remove(&mut self, client: &ClientId) -> Result<bool, Failed> {
        self.change(|connection| {
            Ok(connection.execute("DELETE FROM client WHERE id = ?", [client.as_str()])? > 0)
        })
    }

    fn enable(&mut self, client: &ClientId, enabled: bool) -> Result<bool, Failed> {
        let id = client.clone();
        let entry = Entry { id, enabled: Some(enabled), note: None, expires_at: None, networks: None };
        self.change(|connection| update(connection, &entry))
    }

    fn approve(&mut self, entries: &[Entry]) -> Result<Vec<(ClientId, Obstacle)>, Failed> {
        self.change(|connection| {
            let obstacles = obstacles(connection, entries)?;
            if obstacles.is_empty() {
                entries.iter().try_for_each(|entry| add(connection, entry).map(drop))?;
            }
            Ok(obstacles)
        })
    }

    fn import(&mut self, entries: &[Entry]) -> Result<Imported, Failed> {
        self.change(|connection| {
            let mut imported = Imported::default();
            for entry in entries {
                if add(connection, entry)? {
                    imported.added += 1;
                } else {
                    update(connection, entry)?;
                    imported.updated += 1;
                }
            }
            Ok(imported)
        })
    }

    fn page(&mut self, after: &str) -> Result<Vec<Client>, Failed> {
        self.rows(CLIENTS, (after, PAGE), client)
    }

    fn unknown(&mut self) -> Result<Vec<Attempt>, Failed> {
        self.rows(UNKNOWN, [], attempt)
    }

    fn count(&mut self) -> Result<Count, Failed> {
        let count = self.connection.query_row(COUNT, [], |row| {
            Ok(Count { clients: row.get(0)?, disabled: row.get(1)?, rejected: row.get(2)? })
        });
        count.map_err(|err| Error::of(&self.path, &err).into())
    }
}

/// Whether a server is about to put a complete file there.
fn passes(err: &Error, folder: &Path) -> bool {
    let is_unfinished = matches!(err.trouble(), Trouble::Older { found: 0, .. } | Trouble::Emptied);
    (is_unfinished || !State::file(folder).exists()) && holder(folder).is_some()
}

/// Fails if a new state would not belong to a server, or would hinder one.
fn may_be_missing(folder: &Path, path: &Path) -> Result<(), Error> {
    if let Some(by) = holder(folder) {
        return Err(Error::new(path, Trouble::Awaited { by }));
    }
    let single = folder.join(SINGLE_FILE);
    // A dangling link counts too.
    if single.symlink_metadata().is_ok() {
        return Err(Error::new(&single, Trouble::NotTakenOver));
    }
    // A file system that was just made has one folder.
    let counts = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.file_name() != "lost+found");
    match fs::read_dir(folder).map(|mut entries| entries.any(counts)) {
        Ok(true) if !is_of_a_server(folder) => Err(Error::new(folder, Trouble::Foreign)),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn is_of_a_server(folder: &Path) -> bool {
    ["lock", "messages"].iter().any(|name| folder.join(name).exists())
}

fn add(connection: &Connection, entry: &Entry) -> rusqlite::Result<bool> {
    let Entry { id, enabled, note, expires_at, networks } = entry;
    let (expires_at, now) = (expires_at.flatten().map(Timestamp::from), Timestamp::now());
    let values = (id.as_str(), enabled, note, expires_at, networks.as_ref().map(Networks::to_string), now);
    let added = connection.prepare_cached(ADD)?.execute(values)?;
    if added > 0 {
        forget_elsewhere(connection, entry)?;
    }
    Ok(added > 0)
}

fn update(connection: &Connection, entry: &Entry) -> rusqlite::Result<bool> {
    let Entry { id, enabled, note, expires_at, networks } = entry;
    let (has_expiry, expires_at) = (expires_at.is_some(), expires_at.flatten().map(Timestamp::from));
    let networks = networks.as_ref().map(Networks::to_string);
    forget_elsewhere(connection, entry)?;
    let values = (id.as_str(), enabled, note, has_expiry, expires_at, networks);
    Ok(connection.prepare_cached(UPDATE)?.execute(values)? > 0)
}

fn forget_elsewhere(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    if entry.networks.is_some() {
        connection.prepare_cached(FORGET_ELSEWHERE)?.execute([entry.id.as_str()])?;
    }
    Ok(())
}

/// The ids that cannot be approved.
fn obstacles(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<Vec<(ClientId, Obstacle)>> {
    let mut find = connection.prepare_cached(FIND)?;
    let mut obstacles = Vec::new();
    for Entry { id, .. } in entries {
        let obstacle = find.query_row([id.as_str()], |row| Ok(Obstacle::of(row.get(0)?, row.get(1)?)))?;
        obstacles.extend(obstacle.map(|obstacle| (id.clone(), obstacle)));
    }
    Ok(obstacles)
}

fn client(row: &Row<'_>) -> rusqlite::Result<Client> {
    let expires_at = row.get::<_, Option<Timestamp>>(3)?.map(Into::into);
    let networks = Networks::stored(row.get_ref(4)?.as_str()?);
    let standing = Standing { enabled: row.get(1)?, expires_at, networks };
    Ok(Client { id: row.get(0)?, standing, note: row.get(2)?, created_at: time(row, 5)? })
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<SystemTime> {
    row.get::<_, Timestamp>(column).map(Into::into)
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        id: row.get(0)?,
        peer: row.get(1)?,
        first_at: time(row, 2)?,
        last_at: time(row, 3)?,
        times: row.get(4)?,
        reason: row.get(5)?,
    })
}
