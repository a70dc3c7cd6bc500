//! The stall detector: a worker that stands still for more than a second is logged, with the session that holds it, and
//! again when it goes on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::ArbiterHandle;
use log::{error, warn};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::lag::Lag;
use super::reporter;
use crate::address::Peer;
use crate::listener::Worker;
use crate::protocol::ClientId;
use crate::registry::Table;
use crate::session::Holder;

/// Interval of the looks at a worker.
const LOOK: Duration = Duration::from_millis(250);

/// A worker stands still when it has not answered for this long, and in as many looks as fit into it: a machine that
/// stands still itself does not count.
const STILL: Duration = Duration::from_secs(1);
const LOOKS: u32 = 4;

/// Looks at the workers until it is dropped. The table tells whose session it is.
pub(super) async fn watch(
    workers: &[(Worker, Arc<Holder>)],
    table: &Table,
    settings: &watch::Receiver<reporter::Watched>,
) {
    let mut watched: Vec<_> = workers.iter().map(|worker| Watched::new(worker, table)).collect();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let max_lag = settings.borrow().max_lag;
        watched.iter_mut().enumerate().for_each(|(number, worker)| worker.look(number, max_lag));
    }
}

/// A worker, and the request that it has not answered yet.
struct Watched<'a> {
    worker: &'a ArbiterHandle,
    holder: &'a Holder,
    table: &'a Table,
    pulse: Pulse,
    lag: Lag<'a>,
    answer: oneshot::Receiver<Instant>,
    session: Option<Session>,
}

impl<'a> Watched<'a> {
    fn new((Worker { arbiter, gate }, holder): &'a (Worker, Arc<Holder>), table: &'a Table) -> Self {
        let (pulse, answer, lag) = (Pulse::new(Instant::now()), ask(arbiter), Lag::new(gate));
        Self { worker: arbiter, holder, table, pulse, lag, answer, session: None }
    }

    fn look(&mut self, number: usize, max_lag: Option<Duration>) {
        let (answered, now) = (self.answer.try_recv().ok(), Instant::now());
        self.lag.look(number, self.pulse.delay(answered.unwrap_or(now)), max_lag);
        match self.pulse.look(answered, now) {
            Some(News::StandsStill(time)) => {
                self.session = Session::of(self.holder, self.table);
                error!("worker {number} stands still for={:.1}s{}", time.as_secs_f32(), Of(&self.session));
            }
            Some(News::GoesOn(time)) => {
                warn!("worker {number} goes on after={:.1}s{}", time.as_secs_f32(), Of(&self.session));
            }
            None => {}
        }
        if answered.is_some() {
            self.answer = ask(self.worker);
        }
    }
}

/// Asks a worker for the time at which it comes to this request.
fn ask(worker: &ArbiterHandle) -> oneshot::Receiver<Instant> {
    let (tell, told) = oneshot::channel();
    worker.spawn_fn(|| _ = tell.send(Instant::now()));
    told
}

/// The session that holds a worker.
struct Session {
    peer: Peer,
    client: Option<ClientId>,
}

impl Session {
    fn of(holder: &Holder, table: &Table) -> Option<Self> {
        let peer = holder.peer()?;
        Some(Self { peer, client: table.client_at(peer) })
    }
}

/// The fields of a line about a session, if there is one.
struct Of<'a>(&'a Option<Session>);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Session { peer, client }) = self.0 else { return Ok(()) };
        let client = client.as_ref().map(ClientId::as_str).unwrap_or_default();
        write!(f, " peer={peer} client={client:?}")
    }
}

/// What is known of a worker's pulse. Pure: the time is an argument.
struct Pulse {
    asked: Instant,
    /// Looks without an answer.
    looks: u32,
    is_said: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    StandsStill(Duration),
    GoesOn(Duration),
}

impl Pulse {
    const fn new(now: Instant) -> Self {
        Self { asked: now, looks: 0, is_said: false }
    }

    /// How long the answer takes that came, or may come, at this time.
    fn delay(&self, answered: Instant) -> Duration {
        answered.saturating_duration_since(self.asked)
    }

    /// A look at `now`, when the request has been `answered`, or has not. With an answer, the next request is made now.
    fn look(&mut self, answered: Option<Instant>, now: Instant) -> Option<News> {
        if let Some(answered) = answered {
            let stood = answered.saturating_duration_since(self.asked);
            let was_said = std::mem::replace(self, Self::new(now)).is_said;
            return was_said.then_some(News::GoesOn(stood));
        }
        self.looks += 1;
        let stands = now.saturating_duration_since(self.asked);
        let is_news = !self.is_said && self.looks >= LOOKS && stands > STILL;
        self.is_said |= is_news;
        is_news.then_some(News::StandsStill(stands))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_stands_still_is_said_once_and_when_it_goes_on() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for look in 1..=4 {
            assert_eq!(pulse.look(None, start + LOOK * look), None);
        }
        assert_eq!(pulse.look(None, start + LOOK * 5), Some(News::StandsStill(LOOK * 5)));
        assert_eq!(pulse.look(None, start + LOOK * 6), None);
        let answered = start + LOOK * 6 + LOOK / 2;
        let went_on = Some(News::GoesOn(LOOK * 13 / 2));
        assert_eq!(pulse.look(Some(answered), start + LOOK * 7), went_on);
        assert_eq!(pulse.look(Some(start + LOOK * 8), start + LOOK * 8), None);
    }

    #[test]
    fn a_worker_that_answers_late_is_not_said() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for look in 1..100 {
            let now = start + LOOK * 3 * look;
            assert_eq!(pulse.look(None, now - LOOK), None);
            assert_eq!(pulse.look(Some(now), now), None);
        }
    }

    #[test]
    fn a_machine_that_stands_still_does_not_count() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.look(None, start + STILL * 60), None);
        assert_eq!(pulse.look(Some(start + STILL * 60), start + STILL * 60 + LOOK), None);
    }
}
