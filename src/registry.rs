//! Connected clients: from client id to session.
//!
//! As in the original, the table is public and outlives its process: the supervisor's start function owns it and lends
//! it to the actor. A session inserts the row of a free id itself, without a message. If the id is in use, the actor
//! decides, one request at a time. Dropping a [`Registration`] removes its row directly, without a message: a message
//! to an actor that is being restarted would be lost.
//!
//! The state `Standing` decides whether a session still owns its id. The message [`Kick`] only ends the session
//! sooner. A session hands data over under the lock of its standing ([`Registration::while_current`]). A takeover
//! changes the standing under the same lock before the newer session gets its answer: from then on, nothing of the
//! older session takes effect.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::WeakRecipient;
use actix::prelude::*;

use crate::config::Duplicate;
use crate::faults::{Faults, Point};
use crate::protocol::ClientId;
use crate::supervisor::Stop;

/// Notifies a session that a newer session owns its id.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Kick {
    /// The peer of the newer session.
    pub by: SocketAddr,
}

/// The rows. A clone is a handle to the same table.
#[derive(Clone, Default)]
pub struct Table(Arc<Mutex<Rows>>);

type Rows = HashMap<ClientId, Row>;

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

/// The claim of a session to an id, shared by its row and its registration.
struct Claim {
    standing: Mutex<Standing>,
    taken_down: AtomicBool,
}

impl Claim {
    /// It is locked for as long as a hand-over takes, which does not block.
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Row {
    peer: SocketAddr,
    claim: Arc<Claim>,
    // Weak, so that a row holds no mailbox alive, and 100 bytes smaller.
    session: WeakRecipient<Kick>,
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
        self.rows().contains_key(client)
    }

    /// The id that is connected from this address. It looks at every row, and finds nothing while the table is in use: it
    /// must not wait for a thread that stands still.
    pub fn client_at(&self, peer: SocketAddr) -> Option<ClientId> {
        let rows = self.0.try_lock().ok()?;
        let is_at = |row: &Row| (row.peer.ip(), row.peer.port()) == (peer.ip(), peer.port());
        rows.iter().find(|(_, row)| is_at(row)).map(|(client, _)| client.clone())
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // After a panic between two statements the rows are still valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Inserts a row for a free id, like `ets:insert_new`. If the id is in use, returns the request for the registry to
    /// decide.
    pub fn insert_new(&self, new: Register) -> Result<Registration, Register> {
        let mut rows = self.rows();
        if rows.contains_key(&new.client) {
            return Err(new);
        }
        Ok(self.insert(&mut rows, new))
    }

    /// Decides which session owns the id from now on. Notifies the older session if it loses the id.
    fn decide(&self, new: Register) -> Result<Registration, Taken> {
        let mut rows = self.rows();
        if let Some(older) = rows.get(&new.client) {
            let mut standing = older.claim.standing();
            if new.duplicate == Duplicate::Reject && *standing == Standing::Current {
                return Err(Taken { by: older.peer });
            }
            *standing = Standing::Replaced;
            // Before anybody can find out otherwise.
            older.session.upgrade().inspect(|session| session.do_send(Kick { by: new.peer }));
        }
        Ok(self.insert(&mut rows, new))
    }

    fn insert(&self, rows: &mut Rows, Register { client, peer, session, .. }: Register) -> Registration {
        let (standing, taken_down) = (Mutex::new(Standing::Current), AtomicBool::new(false));
        let claim = Arc::new(Claim { standing, taken_down });
        rows.insert(client.clone(), Row { peer, claim: Arc::clone(&claim), session });
        Registration { table: self.clone(), client, claim }
    }
}

/// A row of the table. Dropping it removes the row, unless a newer session owns it by then.
pub struct Registration {
    table: Table,
    client: ClientId,
    claim: Arc<Claim>,
}

impl Registration {
    /// The id of this row.
    pub const fn client(&self) -> &ClientId {
        &self.client
    }

    /// Does `effect` unless a newer session has the id; then a [`Kick`] was sent. None has it before `effect` is done, so it
    /// must not block.
    pub fn while_current<R>(&self, effect: impl FnOnce() -> R) -> Option<R> {
        let standing = self.claim.standing();
        (*standing != Standing::Replaced).then(effect)
    }

    /// The peer has closed: the next session may take the id over, even while the last answers are pending.
    pub fn leaves(&self) {
        let mut standing = self.claim.standing();
        if *standing == Standing::Current {
            *standing = Standing::Leaving;
        }
    }

    /// Removes the row before the registration is dropped. Returns whether it was still there.
    pub fn take_down(&mut self) -> bool {
        if self.claim.taken_down.swap(true, Ordering::Relaxed) {
            return false;
        }
        let mut rows = self.table.rows();
        if let Entry::Occupied(place) = rows.entry(self.client.clone())
            && Arc::ptr_eq(&place.get().claim, &self.claim)
        {
            place.remove();
        }
        true
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({})", self.client)
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
    pub peer: SocketAddr,
    /// The address for the message that a newer session has taken over.
    pub session: WeakRecipient<Kick>,
    /// The policy for an older session of the same id.
    pub duplicate: Duplicate,
}

/// Another session owns the id, and keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("id already connected from {by}")]
pub struct Taken {
    /// The peer of that session.
    pub by: SocketAddr,
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
