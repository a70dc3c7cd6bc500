//! Shared state of the sessions of one thread: buffers, settings, shared services, and the list of sessions.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::Phase;
use super::authority::Authority;
use super::call::{Calls, Order, SessionInfo};
use super::drain::Drain;
use super::holder::Holder;
use super::roll::Roll;
use super::work::{SMALL, Work};
use crate::access::{Budget, PaceLimits};
use crate::config;
use crate::faults::Faults;
use crate::store::{Outbox, Store};

/// Maximum bytes per read.
pub(super) const READ: usize = 32 * 1024;

/// Maximum number of idle [`Work`]s that a thread keeps for reuse: as many as connections that authenticate at the same
/// time, in a burst.
const SPARE: usize = 64;

/// The part of them that may be large.
const LARGE: usize = 16;

/// The state that a thread needs to run sessions. It moves to the thread before it is installed.
#[derive(Clone)]
pub struct Setup {
    /// The `[session]` section at first, see [`Configure`](super::Configure).
    pub settings: config::Session,
    /// How long incoming bytes are discarded after the last word.
    pub linger: Duration,
    /// Whose turn it is on the thread.
    pub holder: Arc<Holder>,
    /// Checks the ids of devices.
    pub authority: Arc<Authority>,
    /// The store for records.
    pub store: Arc<dyn Store>,
    /// The memory budget for unanswered data of authenticated sessions.
    pub budget: Budget,
    /// The memory budget for unanswered data of all other sessions.
    pub strangers: Budget,
    /// All open sessions of the server.
    pub open: Arc<OpenSessions>,
    /// Injected faults.
    pub faults: Faults,
}

/// Number of open sessions in the whole server.
#[derive(Debug, Default)]
pub struct OpenSessions {
    count: AtomicUsize,
    none: Notify,
}

impl OpenSessions {
    /// The current number.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Resolves when no session is open.
    pub async fn none(&self) {
        loop {
            let mut none = std::pin::pin!(self.none.notified());
            none.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            none.await;
        }
    }

    pub(super) fn enter(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none.notify_waiters();
        }
    }
}

thread_local! {
    static HOST: RefCell<Option<Rc<Host>>> = const { RefCell::new(None) };
}

pub(super) struct Host {
    pub(super) setup: Setup,
    buffer: RefCell<Vec<u8>>,
    #[expect(clippy::vec_box, reason = "the boxes themselves are lent")]
    spare: RefCell<Vec<Box<Work>>>,
    pub(super) roll: Rc<Roll>,
    pub(super) outbox: Rc<Outbox>,
    pub(super) calls: Calls,
    pub(super) drain: Drain,
    settings: RefCell<config::Session>,
    /// A part of the settings that is looked at for each frame.
    pub(super) pace: Cell<Option<PaceLimits>>,
    stopping: Cell<bool>,
}

/// Prepares the current thread to run sessions. Their timer runs as long as [`Sessions`](super::Sessions) does.
pub fn install(setup: Setup) {
    let host = Host {
        outbox: Outbox::start(Arc::clone(&setup.store)),
        settings: RefCell::new(setup.settings.clone()),
        pace: Cell::new(setup.settings.pace()),
        setup,
        buffer: RefCell::new(vec![0; READ]),
        spare: RefCell::default(),
        roll: Roll::new(),
        calls: Calls::default(),
        drain: Drain::default(),
        stopping: Cell::new(false),
    };
    HOST.set(Some(Rc::new(host)));
}

/// Replaces the settings of the sessions of the current thread.
pub(super) fn configure(settings: config::Session) {
    if let Some(host) = Host::present() {
        host.pace.set(settings.pace());
        host.settings.replace(settings);
        // A session that waits may not have to any more.
        host.roll.wake_all();
    }
}

/// Gives an order to all sessions of the current thread.
pub(super) fn call(order: Order, done: oneshot::Sender<Vec<SessionInfo>>) {
    if let Some(host) = Host::present() {
        if let Order::Drain(over) = order {
            host.roll.new_turn();
            host.drain.begin(over, host.roll.after(over));
        }
        host.calls.begin(order, host.roll.listed(), done);
        host.roll.wake_all();
    }
}

/// Tells all sessions of the current thread to answer their received frames and to close.
pub(super) fn stop_all() {
    if let Some(host) = Host::present() {
        host.stopping.set(true);
        host.roll.wake_all();
    }
}

impl Host {
    pub(super) fn present() -> Option<Rc<Self>> {
        HOST.with_borrow(Clone::clone)
    }

    /// The `[session]` section.
    pub(super) fn settings(&self) -> Ref<'_, config::Session> {
        self.settings.borrow()
    }

    /// The memory budget of a session in this phase.
    pub(super) const fn budget(&self, phase: Phase) -> &Budget {
        match phase {
            Phase::Authenticated => &self.setup.budget,
            Phase::New | Phase::LookingUp => &self.setup.strangers,
        }
    }

    /// The shared read buffer of this thread.
    pub(super) fn buffer(&self) -> RefMut<'_, Vec<u8>> {
        self.buffer.borrow_mut()
    }

    pub(super) const fn stopping(&self) -> bool {
        self.stopping.get()
    }

    pub(super) fn lend(&self) -> Box<Work> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn take_back(&self, mut work: Box<Work>) {
        work.reset();
        let mut spare = self.spare.borrow_mut();
        let most = if spare.len() < LARGE { READ } else { SMALL };
        if spare.len() < SPARE && work.capacity() <= most {
            spare.push(work);
        }
    }
}
