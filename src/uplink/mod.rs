//! The uplink: takes what devices send, and answers when it is safe.
//!
//! The actor owns the store and lends it to the sessions, which hand their records over on their own threads. It watches over
//! what the store does beside them. When the actor dies the loan ends, and what is handed over then waits for the next
//! incarnation.

mod budget;
mod log;
pub mod sqlite;
pub mod store;

use std::cell::RefCell;
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::watch;

use self::sqlite::Sqlite;
use self::store::{Batch, NotStored, Origin, Store, Storing};
use crate::faults::{Faults, Point};
use crate::supervisor::{Stop, exit};
use crate::{config, database};

pub use self::budget::{Budget, Held, Ticket};
pub use self::log::Log;

/// The store that a config asks for.
pub fn open(uplink: &config::Uplink, faults: &Faults) -> Result<Arc<dyn Store>, database::Error> {
    Ok(match uplink.store {
        config::Store::Log => Arc::new(Log::open()),
        config::Store::Sqlite => Arc::new(Sqlite::open(uplink.clone(), faults.clone())?),
    })
}

type Loan = Option<Arc<dyn Store>>;

/// Where the store is found while the uplink lends it, and how much may be unanswered. Lives longer than the actor.
#[derive(Clone)]
pub struct Lent {
    loan: watch::Sender<Loan>,
    budget: Budget,
}

impl Lent {
    /// Nothing is lent yet.
    pub fn new(budget: Budget) -> Self {
        Self { loan: watch::Sender::default(), budget }
    }

    /// A worker's way to the store.
    pub fn intake(&self) -> Intake {
        let mut loan = self.loan.subscribe();
        let present = loan.borrow_and_update().clone();
        Intake { lent: RefCell::new((loan, present)), budget: self.budget.clone() }
    }

    /// What all sessions together may have unanswered.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }
}

/// The uplink's actor.
pub struct Uplink {
    store: Arc<dyn Store>,
    lent: Lent,
    faults: Faults,
    has_work: bool,
}

impl Uplink {
    /// An uplink that will lend `store`.
    pub fn new(store: Arc<dyn Store>, lent: Lent, faults: Faults) -> Self {
        Self { store, lent, faults, has_work: false }
    }
}

impl Actor for Uplink {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(work) = self.store.work() {
            // Linked: the actor ends as its work does.
            ctx.spawn(work.into_actor(self).map(|end, _, ctx| match end {
                Ok(()) => ctx.stop(),
                Err(reason) => exit(reason),
            }));
            self.has_work = true;
        }
        self.lent.loan.send_replace(Some(Arc::clone(&self.store)));
        ctx.spawn(self.faults.strike(Point::Uplink).into_actor(self));
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        self.lent.loan.send_replace(None);
    }
}

impl Handler<Stop> for Uplink {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        self.store.finish();
        if !self.has_work {
            ctx.stop();
        }
    }
}

/// One worker's way to the store: it keeps what is lent, and looks again only when that has changed.
pub struct Intake {
    lent: RefCell<(watch::Receiver<Loan>, Loan)>,
    budget: Budget,
}

impl Intake {
    /// Hands a batch over, see [`Store::store`]. The caller sets the deadline.
    pub fn store(&self, origin: &Origin, batch: &mut Batch) -> Storing {
        match self.present() {
            Some(store) => store.store(origin, batch),
            None => self.store_after_restart(origin.clone(), std::mem::take(batch)),
        }
    }

    /// What all sessions together may have unanswered.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    fn present(&self) -> Loan {
        let (loan, present) = &mut *self.lent.borrow_mut();
        if loan.has_changed().unwrap_or(true) {
            present.clone_from(&loan.borrow_and_update());
        }
        present.clone()
    }

    fn store_after_restart(&self, origin: Origin, mut batch: Batch) -> Storing {
        let mut loan = self.lent.borrow().0.clone();
        Storing::Later(Box::pin(async move {
            let store = loan.wait_for(Option::is_some).await.ok().and_then(|store| store.clone());
            let Some(store) = store else {
                return Err(NotStored("the uplink is gone".into()));
            };
            match store.store(&origin, &mut batch) {
                Storing::Now(stored) => stored,
                Storing::Later(stored) => stored.await,
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ClientId, Mode};

    fn origin() -> Origin {
        Origin {
            client: ClientId::try_from("a").unwrap(),
            peer: ([127, 0, 0, 1], 1).into(),
            listener: "trap".into(),
            mode: Mode::Session,
        }
    }

    fn batch() -> Batch {
        let mut batch = Batch::default();
        batch.push(b"x");
        batch
    }

    #[actix::test]
    async fn what_is_handed_over_during_a_restart_waits_for_it() {
        let lent = Lent::new(Budget::new(1000));
        let intake = lent.intake();
        let Storing::Later(stored) = intake.store(&origin(), &mut batch()) else {
            panic!("nothing was lent");
        };
        let addr = Uplink::new(Arc::new(Log::open()), lent.clone(), Faults::default()).start();
        assert_eq!(stored.await, Ok(()));
        assert!(matches!(intake.store(&origin(), &mut batch()), Storing::Now(Ok(()))));

        addr.send(Stop).await.unwrap();
        let mut loan = lent.loan.subscribe();
        loan.wait_for(Option::is_none).await.unwrap();
        assert!(matches!(intake.store(&origin(), &mut batch()), Storing::Later(_)));
    }
}
