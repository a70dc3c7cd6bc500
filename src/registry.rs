//! Connected clients: from client id to session.
//!
//! As in the original, the table is public and outlives its process: the supervisor's start function owns it and lends
//! it to the actor. A session inserts the row of a free id itself, without a message. If the id is in use, the actor
//! decides, one request at a time. Dropping a [`Registration`] removes its row directly, without a message: a message
//! to an actor that is being restarted would be lost.
//!
//! The state `Standing` decides whether a session still owns its id. Its data is stored and its answers are sent under
//! the lock of its standing ([`Claim::while_current`]). A takeover changes the standing under the same lock before the newer session
//! gets its answer: from then on, nothing of the older session takes effect. Then it wakes the older session, which
//! finds out and ends.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use actix::prelude::*;

use crate::address::Peer;
use crate::config::Duplicate;
use crate::faults::{Faults, Point};
use crate::protocol::ClientId;
use crate::supervisor::Stop;

/// The rows. A clone is a handle to the same table.
#[derive(Clone, Default)]
pub struct Table(Arc<Mutex<Rows>>);

type Rows = HashSet<ById>;

/// A row in the table, found by its id. The table is a set of pointers, because a hash table has up to twice as many
/// places as rows, and each place is as large as a row.
struct ById(Claim);

/// One allocation per connected id, shared by the table, the session, and what it has handed over.
pub struct Row {
    client: ClientId,
    /// Wakes the session. A waker is smaller than an address, and costs the session no mailbox.
    session: Waker,
    /// [`Standing::Replaced`], readable without the lock.
    replaced: AtomicBool,
    taken_down: AtomicBool,
    state: Mutex<State>,
}

struct State {
    standing: Standing,
    /// The peer of the session that owns the id: of the newer one after a takeover.
    owner: Peer,
}

/// How a session stands to its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The session owns the id.
    Current,
    /// The session owns the id, but its peer has closed: a newer session takes over, even if duplicates are rejected.
    Leaving,
    /// A newer session has the id.
    Replaced,
}

impl Table {
    /// Number of connected ids.
    pub fn len(&self) -> usize {
        self.rows().len()
    }

    /// Whether no id is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this id is connected.
    pub fn contains(&self, client: &str) -> bool {
        self.rows().contains(client)
    }

    /// The id that is connected from this peer. It looks at every row, and finds nothing while the table is in use: it
    /// must not wait for a thread that stands still.
    pub fn client_at(&self, peer: Peer) -> Option<ClientId> {
        let rows = self.0.try_lock().ok()?;
        let is_at = |row: &Row| {
            let owner = row.state.try_lock().ok().map(|state| state.owner);
            owner.is_some_and(|owner| owner.is(&peer))
        };
        rows.iter().find(|ById(claim)| is_at(&claim.0)).map(|ById(claim)| claim.client().clone())
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // After a panic between two statements the rows are still valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Inserts a row for a free id, like `ets:insert_new`. If the id is in use, returns the request for the registry to
    /// decide.
    pub fn insert_new(&self, new: Register) -> Result<Registration, Register> {
        let mut rows = self.rows();
        if rows.contains(new.client.as_str()) {
            return Err(new);
        }
        Ok(self.insert(&mut rows, new))
    }

    /// Decides which session owns the id from now on. Wakes the older session if it loses the id.
    fn decide(&self, new: Register) -> Result<Registration, Taken> {
        let mut rows = self.rows();
        if let Some(ById(Claim(older))) = rows.get(new.client.as_str()) {
            let mut state = older.state();
            if new.duplicate == Duplicate::Reject && state.standing == Standing::Current {
                return Err(Taken { by: state.owner });
            }
            (state.standing, state.owner) = (Standing::Replaced, new.peer);
            older.replaced.store(true, Ordering::Release);
            drop(state);
            older.session.wake_by_ref();
        }
        Ok(self.insert(&mut rows, new))
    }

    #[expect(clippy::mutable_key_type, reason = "the id of a row never changes")]
    fn insert(&self, rows: &mut Rows, Register { client, peer, session, .. }: Register) -> Registration {
        let [replaced, taken_down] = [const { AtomicBool::new(false) }; 2];
        let state = Mutex::new(State { standing: Standing::Current, owner: peer });
        let claim = Claim(Arc::new(Row { client, session, replaced, taken_down, state }));
        // Not `insert`, which keeps an equal value that is there already.
        rows.replace(ById(claim.clone()));
        Registration { table: self.clone(), claim }
    }
}

impl Row {
    /// Does `effect` unless a newer session has the id. None has it before `effect` is done, so it must not block.
    pub fn while_current<R>(&self, effect: impl FnOnce() -> R) -> Option<R> {
        let state = self.state();
        (state.standing != Standing::Replaced).then(effect)
    }

    /// It is locked for as long as a hand-over takes, which does not block.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        self.0.client().as_str()
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.client() == other.0.client()
    }
}

impl Eq for ById {}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.client().as_str().hash(state);
    }
}

/// The claim of a session to its id. A clone is a handle to the same claim; it may outlive the session.
#[derive(Clone)]
pub struct Claim(Arc<Row>);

impl Claim {
    /// The id.
    pub fn client(&self) -> &ClientId {
        &self.0.client
    }

    /// See [`Row::while_current`].
    pub fn while_current<R>(&self, effect: impl FnOnce() -> R) -> Option<R> {
        self.0.while_current(effect)
    }

    /// The row, for another thread to check.
    pub fn row(&self) -> Arc<Row> {
        Arc::clone(&self.0)
    }

    /// The peer of the newer session, if one has the id. It was stated before the session was woken.
    pub fn replaced_by(&self) -> Option<Peer> {
        self.0.replaced.load(Ordering::Acquire).then(|| self.0.state().owner)
    }
}

/// A row of the table. Dropping it removes the row, unless a newer session owns it by then.
pub struct Registration {
    table: Table,
    claim: Claim,
}

impl Registration {
    /// The claim to the id of this row.
    pub const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The peer has closed: the next session may take the id over, even while the last answers are pending.
    pub fn leaves(&self) {
        let mut state = self.claim.0.state();
        if state.standing == Standing::Current {
            state.standing = Standing::Leaving;
        }
    }

    /// Removes the row before the registration is dropped. Returns whether that was not done before.
    pub fn take_down(&self) -> bool {
        if self.claim.0.taken_down.swap(true, Ordering::Relaxed) {
            return false;
        }
        let mut rows = self.table.rows();
        // Replaced or not cannot change while the rows are locked. If so, the row is that of the newer session.
        if !self.claim.0.replaced.load(Ordering::Acquire) {
            rows.remove(self.claim.client().as_str());
        }
        true
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({})", self.claim.client())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.take_down();
    }
}

/// Requests a row.
#[derive(Clone, Message)]
#[rtype(result = "Result<Registration, Taken>")]
pub struct Register {
    /// The id: known, and not yet registered by this session.
    pub client: ClientId,
    /// The peer of the session.
    pub peer: Peer,
    /// Wakes the session when a newer session has taken over.
    pub session: Waker,
    /// The policy for an older session of the same id.
    pub duplicate: Duplicate,
}

/// Another session owns the id, and keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("id already connected from {by}")]
pub struct Taken {
    /// The peer of that session.
    pub by: Peer,
}

/// The registry's actor: decides which session owns an id that several sessions request.
pub struct Registry {
    table: Table,
    faults: Faults,
}

impl Registry {
    /// Makes a registry over `table`.
    pub const fn new(table: Table, faults: Faults) -> Self {
        Self { table, faults }
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.spawn(self.faults.strike(Point::Registry).into_actor(self));
    }
}

impl Handler<Register> for Registry {
    type Result = Result<Registration, Taken>;

    fn handle(&mut self, register: Register, _: &mut Context<Self>) -> Self::Result {
        self.faults.trip(Point::RegistryQuestion);
        self.table.decide(register)
    }
}

impl Handler<Stop> for Registry {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[cfg(test)]
mod tests;
