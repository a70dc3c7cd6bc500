//! Sessions on pipes in memory that can starve, and on a clock under the test's control: it moves only when everything
//! else is at rest. So `at_rest` is exact, and an event at a deadline happens exactly then.

mod clocks;
mod edges;
mod pressure;
mod rates;
mod scripts;
mod takeover;

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::host::stop_all;
use super::*;
use crate::access::{Budget, Permits, Places};
use crate::config;
use crate::credentials::{Authenticator, Checking, Credentials, Current, Denied, Unknown};
use crate::faults::Faults;
use crate::listener::Journal;
use crate::protocol::codec::encode;
use crate::protocol::{ClientId, Frame, Id, Mode};
use crate::registry::{Registry, Table};
use crate::stats::{Stats, Totals};
use crate::store::{Entrusted, NotStored, Store, Turn};
use crate::supervisor::{Name, Upkeep};

/// Longer than every deadline of a session.
const FOREVER: Duration = Duration::from_secs(3600);

/// The timeout of a rig's credentials.
const LOOK_UP: Duration = Duration::from_secs(2);

/// The server's part of one thread, around the sessions of a test.
struct Rig {
    stats: Arc<Stats>,
    open: Arc<OpenSessions>,
    places: Places,
    store: TestStore,
    known: watch::Sender<bool>,
    // The actor lives as long as its address.
    _upkeep: Addr<Upkeep<Arc<dyn Store>>>,
    budget: Budget,
    strangers: Budget,
}

impl Rig {
    /// Store and credentials answer immediately; ids that begin with "known" are known.
    fn new(change: impl FnOnce(&mut config::Session)) -> Self {
        Self::with_budget(usize::MAX, change)
    }

    /// The same, with a common bound on the unanswered bytes of all sessions.
    fn with_budget(budget: usize, change: impl FnOnce(&mut config::Session)) -> Self {
        tokio::time::pause();
        let (strangers, budget) = (Budget::new(budget), Budget::new(budget));
        let mut settings = config::Session::default();
        change(&mut settings);
        let (known, store) = (watch::Sender::new(true), TestStore::default());
        let (faults, registry) = (Faults::default(), Name::new());
        let table = Table::default();
        registry.register(Registry::new(table.clone(), faults.clone()).start());
        let upkeep: Arc<dyn Store> = Arc::new(store.clone());
        let upkeep = Upkeep::new(upkeep, faults.strike(Point::Store)).start();
        let (stats, open) = (Arc::new(Stats::default()), Arc::new(OpenSessions::default()));
        let setup = Setup {
            settings,
            linger: Duration::from_secs(1),
            holder: Arc::default(),
            authority: Arc::new(Authority {
                current: Current::new(Authenticator {
                    credentials: Arc::new(KnownOnes(known.clone())),
                    timeout: LOOK_UP,
                    unknown: Unknown::none(),
                }),
                table,
                registry,
            }),
            store: Arc::new(store.clone()),
            budget: budget.clone(),
            strangers: strangers.clone(),
            open: Arc::clone(&open),
            faults,
        };
        install(setup);
        let _ = sessions::Clock.start();
        Self {
            stats,
            open,
            places: Places::new(Permits::new(100), 50),
            store,
            known,
            _upkeep: upkeep,
            budget,
            strangers,
        }
    }

    /// A device on a pipe of this capacity in each direction.
    fn device(&self, pipe: usize) -> Peer {
        let (near, far) = duplex(pipe);
        start(Stream::Memory(far), self.admitted());
        Peer(near)
    }

    /// The same, and the session, to look at it between its turns.
    fn device_and_session(&self, pipe: usize) -> (Peer, Watched) {
        let (near, far) = duplex(pipe);
        let session = Watched(Rc::new(RefCell::new(Some(self.session(far)))));
        actix_rt::spawn(session.clone());
        (Peer(near), session)
    }

    /// A session that does not run yet.
    fn session(&self, stream: DuplexStream) -> SessionTask {
        let guard = Guard::new(Host::present().unwrap(), self.admitted());
        SessionTask::new(Session::new(Stream::Memory(stream), guard))
    }

    async fn authenticated(&self, pipe: usize) -> Peer {
        let mut device = self.device(pipe);
        device.send(&auth(ID)).await;
        device.expect("auth_ok").await;
        device
    }

    fn admitted(&self) -> Admitted {
        let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 7)).into();
        let journal = Journal::from("memory");
        Admitted::new(peer, self.places.enter().unwrap(), Arc::clone(&self.stats), journal)
    }

    fn totals(&self) -> Totals {
        Totals::of([&*self.stats])
    }

    /// Checks that the other one of two sessions ended for this reason, and ends the one of `device`.
    async fn assert_one_of_two_ended(&self, device: Peer, reason: Ended) {
        at_rest().await;
        assert_eq!((self.totals().ended(reason), self.open.count()), (1, 1));
        drop(device);
        self.assert_ended(1, reason).await;
    }

    /// Checks that this many sessions ended, all for this reason, and that none of their resources is left.
    async fn assert_ended(&self, sessions: u64, reason: Ended) {
        timeout(FOREVER, self.open.none()).await.expect("all sessions have ended");
        let totals = self.totals();
        assert_eq!(totals.ended(reason), sessions, "ended {reason}, in all: {totals}");
        assert_eq!((totals.sessions, totals.authenticated, self.places.permits().in_use()), (0, 0, 0));
    }
}

/// Lets the clock run again, for the next rig of the same test.
impl Drop for Rig {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

/// The task of a session that a test can look at. There is none after its end.
#[derive(Clone)]
struct Watched(Rc<RefCell<Option<SessionTask>>>);

impl Watched {
    /// Bytes of memory that the session holds, without the size of the struct itself. `None` if it owns no [`Work`].
    fn held(&self) -> Option<usize> {
        let task = self.0.borrow();
        let session = &task.as_ref().expect("the session is there").session;
        session.work.as_ref().map(|work| work.capacity())
    }
}

impl Future for Watched {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let mut task = self.0.borrow_mut();
        let turn = task.as_mut().map_or(Poll::Ready(()), |task| Pin::new(task).poll(cx));
        if turn.is_ready() {
            *task = None;
        }
        turn
    }
}

/// The device's end of a pipe.
struct Peer(DuplexStream);

impl Peer {
    async fn send(&mut self, bytes: &[u8]) {
        timeout(FOREVER, self.0.write_all(bytes)).await.expect("the session reads").unwrap();
    }

    async fn expect(&mut self, answers: &str) {
        let mut got = vec![0; answers.len()];
        let read = timeout(FOREVER, self.0.read_exact(&mut got)).await;
        assert!(matches!(read, Ok(Ok(_))), "{read:?} while waiting for {answers:?}");
        assert_eq!(String::from_utf8_lossy(&got), answers);
    }

    /// The bytes received until the session closes.
    async fn rest(&mut self) -> String {
        let mut got = Vec::new();
        timeout(FOREVER, self.0.read_to_end(&mut got)).await.expect("the session ends").unwrap();
        String::from_utf8(got).unwrap()
    }
}

/// Waits until no task has work left.
async fn at_rest() {
    sleep(Duration::from_millis(1)).await;
}

/// Keeps the given batches, and answers with the configured result; without one, not at all.
#[derive(Clone)]
struct TestStore {
    batches: Arc<Mutex<Vec<Vec<Vec<u8>>>>>,
    answer: watch::Sender<Option<Result<(), NotStored>>>,
}

impl Default for TestStore {
    fn default() -> Self {
        Self { batches: Arc::default(), answer: watch::Sender::new(Some(Ok(()))) }
    }
}

impl TestStore {
    fn records(&self) -> Vec<Vec<u8>> {
        self.batches.lock().unwrap().concat()
    }

    fn never_answers(&self) {
        self.answer.send_replace(None);
    }

    fn answers(&self, stored: Result<(), NotStored>) {
        self.answer.send_replace(Some(stored));
    }
}

impl Store for TestStore {
    fn take(&self, turn: Turn<'_>) {
        turn.hand_over(|Entrusted { batch, promise, .. }| {
            self.batches.lock().unwrap().push(batch.iter().map(<[u8]>::to_vec).collect());
            let mut answers = self.answer.subscribe();
            actix_rt::spawn(async move {
                let stored = answers.wait_for(Option::is_some).await.unwrap().clone();
                // Its part of the budget is held until then.
                drop(batch);
                promise.keep(stored.unwrap());
            });
        });
    }
}

struct KnownOnes(watch::Sender<bool>);

impl Credentials for KnownOnes {
    fn check(&self, client: &ClientId, _: std::net::IpAddr) -> Checking {
        let known = client.as_str().starts_with("known").then_some(()).ok_or(Denied::Unknown);
        let mut answers = self.0.subscribe();
        Box::pin(async move {
            answers.wait_for(|answers| *answers).await.unwrap();
            known
        })
    }
}

const ID: &str = "known 1";
const PING: [u8; 2] = [0x40, 0];

fn bytes(frame: Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&frame, &mut bytes).unwrap();
    bytes
}

fn id(text: &str) -> Id<'_> {
    Id::try_from(text).unwrap()
}

fn auth(client: &str) -> Vec<u8> {
    bytes(Frame::Auth { client: id(client) })
}

fn send(data: &[u8]) -> Vec<u8> {
    send_as(ID, data)
}

fn send_as(client: &str, data: &[u8]) -> Vec<u8> {
    bytes(Frame::Send { mode: Mode::Session, client: id(client), data })
}

fn one_shot(client: &str) -> Vec<u8> {
    bytes(Frame::Send { mode: Mode::OneShot, client: id(client), data: b"once" })
}
