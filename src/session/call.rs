//! Roll calls: a request that each session of a thread answers once, in its next turn. So rare requests need
//! no list of sessions, and cost an idle session nothing.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::work::Paused;
use super::{Closing, Phase, Session};
use crate::access::Rules;
use crate::address::Peer;
use crate::protocol::ClientId;
use crate::stats::Ended;

/// Some of the sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// The session of this id.
    Client(ClientId),
    /// All sessions of the listener with this name.
    Listener(Arc<str>),
    /// The sessions of this listener whose addresses these rules deny.
    Denied(Arc<str>, Arc<Rules>),
}

/// A session, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The authenticated id.
    pub client: Option<ClientId>,
    /// The address of the peer.
    pub peer: Peer,
    /// The name of its listener.
    pub listener: Arc<str>,
    /// Its phase, as crash reports name it.
    pub phase: &'static str,
    /// The time since it was accepted.
    pub age: Duration,
    /// Complete frames.
    pub frames: u64,
    /// Bytes of unanswered data.
    pub unanswered: usize,
    /// Why it is not read, if it is not.
    pub paused: Option<&'static str>,
}

/// A request to the sessions.
#[derive(Clone, Debug)]
pub(super) enum Order {
    List(Which),
    Close(Which),
    /// Within this time, see [`Drain`](super::drain::Drain).
    Drain(Duration),
}

/// The calls of one thread that some sessions have not answered yet.
#[derive(Default)]
pub(super) struct Calls {
    /// Looked at in each turn of a session.
    any: Cell<bool>,
    calls: RefCell<Vec<Call>>,
}

struct Call {
    order: Order,
    /// The sessions that have not answered, by their number on the roll.
    pending: HashSet<u32>,
    answers: Vec<SessionInfo>,
    done: oneshot::Sender<Vec<SessionInfo>>,
}

impl Calls {
    pub(super) fn begin(
        &self,
        order: Order,
        sessions: HashSet<u32>,
        done: oneshot::Sender<Vec<SessionInfo>>,
    ) {
        self.calls.borrow_mut().push(Call { order, pending: sessions, answers: Vec::new(), done });
        self.settle();
    }

    pub(super) const fn any(&self) -> bool {
        self.any.get()
    }

    /// A session has ended; its number may be given to another one.
    pub(super) fn strike_off(&self, listed: u32) {
        if self.any() {
            self.calls.borrow_mut().iter_mut().for_each(|call| _ = call.pending.remove(&listed));
            self.settle();
        }
    }

    /// Resolves the calls that all sessions have answered.
    fn settle(&self) {
        let mut calls = self.calls.borrow_mut();
        for call in calls.extract_if(.., |call| call.pending.is_empty() || call.done.is_closed()) {
            // The caller may have timed out.
            let _ = call.done.send(call.answers);
        }
        self.any.set(!calls.is_empty());
    }
}

impl Session {
    /// Handles the request.
    pub(super) fn answer_calls(&mut self) {
        let Some(listed) = self.guard.listed() else { return };
        let host = Rc::clone(&self.guard.host);
        for call in host.calls.calls.borrow_mut().iter_mut() {
            if call.pending.remove(&listed) {
                call.answers.extend(self.answer(&call.order));
            }
        }
        host.calls.settle();
    }

    fn answer(&mut self, order: &Order) -> Option<SessionInfo> {
        match order {
            Order::List(which) if self.is_of(which) => Some(self.info()),
            Order::Close(which) if self.closing.is_none() && self.is_of(which) => {
                let info = self.info();
                self.close(Closing::LastWordsAndLinger, Ended::Closed, "");
                Some(info)
            }
            Order::Drain(_) => {
                self.drains();
                None
            }
            Order::List(_) | Order::Close(_) => None,
        }
    }

    fn is_of(&self, which: &Which) -> bool {
        match which {
            Which::All => true,
            Which::Client(client) => self.guard.client() == Some(client),
            Which::Listener(listener) => self.guard.listener() == listener,
            Which::Denied(listener, rules) => {
                let is_denied = matches!(self.guard.peer(), Peer::Ip(peer) if !rules.admits(peer.ip()));
                is_denied && self.guard.listener() == listener
            }
        }
    }

    fn info(&self) -> SessionInfo {
        let guard = &self.guard;
        SessionInfo {
            client: guard.client().cloned(),
            peer: guard.peer(),
            listener: Arc::clone(guard.listener()),
            phase: self.phase_name(),
            age: guard.age(),
            frames: guard.frames,
            unanswered: self.unanswered(),
            paused: self.work.as_ref().and_then(|work| work.paused.as_ref()).map(Paused::name),
        }
    }

    /// Its phase in one word.
    pub(super) const fn phase_name(&self) -> &'static str {
        match (self.closing, self.phase) {
            (Some(_), _) => "closing",
            (None, Phase::New) => "new",
            (None, Phase::LookingUp) => "looking_up",
            (None, Phase::Authenticated) => "authenticated",
        }
    }

    pub(super) fn unanswered(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.unanswered())
    }
}

impl Paused {
    const fn name(&self) -> &'static str {
        match self {
            Self::LookUp => "look_up",
            Self::Own => "max_unanswered",
            Self::Rate => "rate",
            Self::Budget(..) => "memory",
        }
    }
}
