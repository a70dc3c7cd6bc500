//! The way from the sessions of a thread to the store, and back: one hand-over for each turn of the thread's loop.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;
use tokio::task::yield_now;

use super::Store;
use super::answer::{Answered, Inbox, NotStored, Promise};
use super::batch::{Batch, Origin};
use crate::database::Timestamp;

/// A batch with a pending answer.
#[derive(Debug)]
pub struct Entrusted {
    /// Where it comes from.
    pub origin: Origin,
    /// The time of receipt.
    pub received_at: Timestamp,
    /// The records.
    pub batch: Batch,
    /// For the answer.
    pub promise: Promise,
}

/// The right of a session to store something, which it may lose at any time.
pub trait Fence: Send + Sync {
    /// Does `effect` unless the right is lost. It is not lost before `effect` is done, which must not block.
    fn while_current(&self, effect: &mut dyn FnMut());
}

/// The batches of one turn of a thread, in the order in which they were received.
#[derive(Debug)]
pub struct Turn<'a>(std::vec::Drain<'a, Outgoing>);

struct Outgoing {
    entrusted: Entrusted,
    fence: Option<Arc<dyn Fence>>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.entrusted.fmt(f)
    }
}

impl Turn<'_> {
    /// Hands over each batch, unless its session has lost its id since. `take` runs while the session cannot lose it:
    /// a store takes its own lock first, and `take` puts the batch where no later one gets before it.
    pub fn hand_over(self, mut take: impl FnMut(Entrusted)) {
        for Outgoing { entrusted, fence } in self.0 {
            let mut entrusted = Some(entrusted);
            let mut take = || entrusted.take().into_iter().for_each(&mut take);
            match fence {
                Some(fence) => fence.while_current(&mut take),
                None => take(),
            }
        }
    }
}

/// The batches that sessions of a thread have handed over, and the answers that they wait for.
pub struct Outbox {
    store: Arc<dyn Store>,
    turn: RefCell<Vec<Outgoing>>,
    /// Wakes the task that sends; `None` while it is awake.
    sender: Cell<Option<Waker>>,
    inbox: Arc<Inbox>,
    slots: RefCell<Slab<Slot>>,
}

enum Slot {
    Waiting(Option<Waker>),
    Answered(Result<(), NotStored>, Batch),
    /// The session has its answer.
    Taken,
    /// The session has ended.
    Abandoned,
}

impl Outbox {
    /// Makes an outbox on the current thread.
    pub fn start(store: Arc<dyn Store>) -> Rc<Self> {
        let (turn, sender, inbox, slots) = Default::default();
        let outbox = Rc::new(Self { store, turn, sender, inbox, slots });
        actix_rt::spawn(Rc::clone(&outbox).send());
        actix_rt::spawn(Rc::clone(&outbox).receive());
        outbox
    }

    /// Hands over a batch at the end of this turn, unless `fence` is lost by then.
    pub fn put(self: &Rc<Self>, origin: Origin, batch: Batch, fence: Option<Arc<dyn Fence>>) -> Answer {
        let slot = self.slots.borrow_mut().insert(Slot::Waiting(None));
        let promise = Promise::new(&self.inbox, slot);
        let entrusted = Entrusted { origin, received_at: Timestamp::now(), batch, promise };
        self.turn.borrow_mut().push(Outgoing { entrusted, fence });
        self.sender.take().into_iter().for_each(Waker::wake);
        Answer { outbox: Rc::clone(self), slot }
    }

    async fn send(self: Rc<Self>) {
        loop {
            poll_fn(|cx| self.poll_turn(cx)).await;
            // Behind the sessions that are ready too.
            yield_now().await;
            let mut turn = self.turn.take();
            self.store.take(Turn(turn.drain(..)));
            // Its memory is used again.
            if self.turn.borrow().is_empty() {
                self.turn.replace(turn);
            }
        }
    }

    fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        if self.turn.borrow().is_empty() {
            self.sender.set(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    async fn receive(self: Rc<Self>) {
        let mut answers = Vec::new();
        poll_fn(|cx| {
            self.inbox.take(&mut answers, cx.waker());
            answers.drain(..).for_each(|answered| self.deliver(answered));
            Poll::Pending
        })
        .await
    }

    fn deliver(&self, Answered { slot, stored, batch }: Answered) {
        let mut slots = self.slots.borrow_mut();
        let Some(place) = slots.get_mut(slot) else { return };
        match std::mem::replace(place, Slot::Answered(stored, batch)) {
            Slot::Waiting(session) => session.into_iter().for_each(Waker::wake),
            Slot::Answered(..) | Slot::Taken => {}
            Slot::Abandoned => drop(slots.remove(slot)),
        }
    }
}

/// The pending answer to a batch. Dropping it does not cancel the batch.
pub struct Answer {
    outbox: Rc<Outbox>,
    slot: usize,
}

impl Answer {
    /// The answer, and the memory of the batch.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<(Result<(), NotStored>, Batch)> {
        let mut slots = self.outbox.slots.borrow_mut();
        let Some(slot) = slots.get_mut(self.slot) else { return Poll::Pending };
        match slot {
            Slot::Waiting(Some(waker)) if waker.will_wake(cx.waker()) => return Poll::Pending,
            Slot::Waiting(waker) => *waker = Some(cx.waker().clone()),
            Slot::Answered(..) => {
                if let Slot::Answered(stored, batch) = std::mem::replace(slot, Slot::Taken) {
                    return Poll::Ready((stored, batch));
                }
            }
            Slot::Taken | Slot::Abandoned => {}
        }
        Poll::Pending
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut slots = self.outbox.slots.borrow_mut();
        match slots.get_mut(self.slot) {
            Some(slot @ Slot::Waiting(_)) => *slot = Slot::Abandoned,
            _ => drop(slots.try_remove(self.slot)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::ready;

    use super::super::answer_all;
    use super::*;
    use crate::protocol::{ClientId, Mode};

    /// Keeps the turns that it is given.
    #[derive(Default)]
    struct Kept(Mutex<Vec<Vec<Entrusted>>>);

    impl Store for Kept {
        fn take(&self, turn: Turn<'_>) {
            let mut taken = Vec::new();
            turn.hand_over(|entrusted| taken.push(entrusted));
            self.0.lock().unwrap().push(taken);
        }
    }

    impl Kept {
        fn turns(&self) -> Vec<Vec<String>> {
            let text =
                |one: &Entrusted| String::from_utf8(one.batch.iter().collect::<Vec<_>>().concat()).unwrap();
            self.0.lock().unwrap().iter().map(|turn| turn.iter().map(text).collect()).collect()
        }

        fn answer(&self) {
            answer_all(self.0.lock().unwrap().drain(..).flatten(), &Ok(()));
        }
    }

    struct Right(AtomicBool);

    impl Fence for Right {
        fn while_current(&self, effect: &mut dyn FnMut()) {
            if self.0.load(Ordering::SeqCst) {
                effect();
            }
        }
    }

    fn batch(data: &str) -> (Origin, Batch) {
        let client = ClientId::try_from("a").unwrap();
        let origin = Origin {
            client,
            peer: SocketAddr::from(([127, 0, 0, 1], 1)).into(),
            listener: "trap".into(),
            mode: Mode::Session,
        };
        let mut batch = Batch::default();
        batch.push(data.as_bytes());
        (origin, batch)
    }

    fn put(outbox: &Rc<Outbox>, data: &str, fence: Option<Arc<dyn Fence>>) -> Answer {
        let (origin, batch) = batch(data);
        outbox.put(origin, batch, fence)
    }

    async fn answered(answer: &Answer) -> (Result<(), NotStored>, usize) {
        poll_fn(|cx| {
            let (stored, batch) = ready!(answer.poll(cx));
            assert!(batch.is_empty());
            Poll::Ready((stored, batch.capacity()))
        })
        .await
    }

    /// Until everything that can happen has happened.
    async fn rest() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    #[actix::test]
    async fn a_turn_is_one_hand_over_and_its_memory_comes_back_with_the_answers() {
        let store = Arc::new(Kept::default());
        let outbox = Outbox::start(Arc::clone(&store) as Arc<dyn Store>);
        let first = [put(&outbox, "1", None), put(&outbox, "2", None)];
        rest().await;
        let second = put(&outbox, "3", None);
        rest().await;
        assert_eq!(store.turns(), [vec!["1", "2"], vec!["3"]]);
        // Its session has ended.
        drop(second);
        store.answer();
        for answer in &first {
            let (stored, capacity) = answered(answer).await;
            assert!(stored.is_ok() && capacity > 0, "{stored:?} {capacity}");
        }
        rest().await;
        drop(first);
        assert_eq!(outbox.slots.borrow().len(), 0);
    }

    #[actix::test]
    async fn batches_of_a_session_that_has_lost_its_id_are_not_handed_over() {
        let store = Arc::new(Kept::default());
        let outbox = Outbox::start(Arc::clone(&store) as Arc<dyn Store>);
        let right = Arc::new(Right(AtomicBool::new(true)));
        let kept = put(&outbox, "kept", Some(right.clone()));
        rest().await;
        let lost = put(&outbox, "lost", Some(right.clone()));
        right.0.store(false, Ordering::SeqCst);
        rest().await;
        assert_eq!(store.turns(), [vec!["kept"], vec![]]);
        assert!(answered(&lost).await.0.is_err());
        store.answer();
        assert!(answered(&kept).await.0.is_ok());
    }

    #[actix::test]
    async fn a_batch_that_a_store_drops_is_answered() {
        let store = Arc::new(Kept::default());
        let outbox = Outbox::start(Arc::clone(&store) as Arc<dyn Store>);
        let answer = put(&outbox, "dropped", None);
        rest().await;
        store.0.lock().unwrap().clear();
        assert!(answered(&answer).await.0.is_err());
    }
}
