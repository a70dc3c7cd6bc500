//! Who is connected: client id to session.
//!
//! As in the original the table is public and outlives its process: the supervisor's start function owns it and lends it to
//! the actor. A session makes the row of an id that has none itself, which costs no message. Of an id that is held the actor
//! decides, one newcomer after the other. A row is taken down by whoever drops its [`Registration`], directly too, for a
//! goodbye sent to an actor that is being restarted would be lost.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::WeakRecipient;
use actix::prelude::*;

use crate::config::Duplicate;
use crate::faults::{Faults, Point};
use crate::protocol::ClientId;
use crate::supervisor::Stop;

/// Tells a session that a newer one has its id.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Kick {
    /// The peer of the newer session.
    pub by: SocketAddr,
}

/// The rows. A clone is the same table.
#[derive(Clone, Default)]
pub struct Table(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    by_id: HashMap<ClientId, Row>,
    made: u64,
}

struct Row {
    number: u64,
    peer: SocketAddr,
    // Weak, so that a row holds no mailbox alive, and 100 bytes smaller.
    session: WeakRecipient<Kick>,
}

impl Table {
    /// How many ids are connected.
    pub fn len(&self) -> usize {
        self.rows().by_id.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this id is connected.
    pub fn contains(&self, client: &str) -> bool {
        self.rows().by_id.contains_key(client)
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // A panic between two statements leaves rows, not nonsense.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a row for an id that has none, like `ets:insert_new`. Otherwise the request comes back, for the registry to
    /// decide.
    pub fn insert_new(&self, new: Register) -> Result<Registration, Register> {
        let mut rows = self.rows();
        if rows.by_id.contains_key(&new.client) {
            return Err(new);
        }
        Ok(self.insert(&mut rows, new))
    }

    /// Decides who has the id from now on. An older session is told if it is not the one.
    fn decide(&self, new: Register) -> Result<Registration, Held> {
        let mut rows = self.rows();
        if let Some(older) = rows.by_id.get(&new.client) {
            if new.duplicate == Duplicate::Reject {
                return Err(Held { by: older.peer });
            }
            older.session.upgrade().inspect(|session| session.do_send(Kick { by: new.peer }));
        }
        Ok(self.insert(&mut rows, new))
    }

    fn insert(&self, rows: &mut Rows, Register { client, peer, session, .. }: Register) -> Registration {
        rows.made += 1;
        let number = rows.made;
        rows.by_id.insert(client.clone(), Row { number, peer, session });
        Registration { table: self.clone(), client, number }
    }
}

/// A row of the table: dropped, it takes the row down, unless a newer session has it by then.
pub struct Registration {
    table: Table,
    client: ClientId,
    number: u64,
}

impl Registration {
    /// Whose row it is.
    pub const fn client(&self) -> &ClientId {
        &self.client
    }

    /// Takes the row down before the registration is dropped. Whether that was still to be done.
    pub fn take_down(&mut self) -> bool {
        // Rows are counted from 1.
        let number = std::mem::take(&mut self.number);
        if number == 0 {
            return false;
        }
        let mut rows = self.table.rows();
        if let Entry::Occupied(place) = rows.by_id.entry(self.client.clone())
            && place.get().number == number
        {
            place.remove();
        }
        true
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({} #{})", self.client, self.number)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.take_down();
    }
}

/// Asks for a row.
#[derive(Clone, Message)]
#[rtype(result = "Result<Registration, Held>")]
pub struct Register {
    /// The id, known and not yet registered by this session.
    pub client: ClientId,
    /// The session's peer.
    pub peer: SocketAddr,
    /// Where the session is told that it was taken over.
    pub session: WeakRecipient<Kick>,
    /// What happens to an older session of the same id.
    pub duplicate: Duplicate,
}

/// Another session has the id, and keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id is connected from {by}")]
pub struct Held {
    /// The peer of that session.
    pub by: SocketAddr,
}

/// The registry's actor: decides of the ids that several sessions want.
pub struct Registry {
    table: Table,
    faults: Faults,
}

impl Registry {
    /// A registry over `table`.
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
    type Result = Result<Registration, Held>;

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
