//! A store and credentials that answer when a test tells them to.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use trap_server::credentials::{Checking, Credentials, Denied};
use trap_server::protocol::{ClientId, Mode};
use trap_server::store::{Entrusted, NotStored, Store, Turn};

use super::eventually;

/// A batch as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    pub client: String,
    pub mode: Mode,
    pub records: Vec<Vec<u8>>,
}

/// Keeps all batches, and answers each on request. A clone is the same store.
#[derive(Clone, Default)]
pub struct LateStore {
    handed: Arc<Mutex<Vec<Handed>>>,
    unanswered: Queue<Result<(), NotStored>>,
}

impl LateStore {
    pub fn handed(&self) -> Vec<Handed> {
        self.handed.lock().unwrap().clone()
    }

    /// The records of all batches.
    pub fn records(&self) -> Vec<Vec<u8>> {
        self.handed().into_iter().flat_map(|handed| handed.records).collect()
    }

    /// Answers the oldest batch that has no answer yet, and waits for one if there is none.
    pub async fn answer(&self, stored: Result<(), NotStored>) {
        self.unanswered.answer(stored).await;
    }

    /// Answers every batch from now on.
    pub fn answer_all(&self) {
        self.unanswered.answer_all(&Ok(()));
    }
}

impl Store for LateStore {
    fn take(&self, turn: Turn<'_>) {
        let mut handed = self.handed.lock().unwrap();
        turn.hand_over(|Entrusted { origin, batch, promise, .. }| {
            let records = batch.iter().map(<[u8]>::to_vec).collect();
            handed.push(Handed { client: origin.client.as_str().to_owned(), mode: origin.mode, records });
            drop(batch);
            self.unanswered.ask(|stored| promise.keep(stored));
        });
    }
}

pub fn not_stored(why: &str) -> NotStored {
    NotStored(why.into())
}

/// Answers each look-up on request. A clone is the same.
#[derive(Clone, Default)]
pub struct LateCredentials {
    asked: Arc<Mutex<Vec<String>>>,
    unanswered: Queue<Result<(), Denied>>,
}

impl LateCredentials {
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Answers the oldest look-up that has no answer yet, and waits for one if there is none.
    pub async fn answer(&self, known: Result<(), Denied>) {
        self.unanswered.answer(known).await;
    }

    /// All ids are known from now on.
    pub fn answer_all(&self) {
        self.unanswered.answer_all(&Ok(()));
    }
}

impl Credentials for LateCredentials {
    fn check(&self, client: &ClientId, _: IpAddr) -> Checking {
        self.asked.lock().unwrap().push(client.as_str().to_owned());
        let (tell, answer) = oneshot::channel();
        self.unanswered.ask(|known| drop(tell.send(known)));
        Box::pin(async { answer.await.unwrap_or(Err(Denied::Unavailable("the test is over".into()))) })
    }
}

/// Questions without an answer, oldest first.
struct Queue<T>(Arc<Mutex<Questions<T>>>);

struct Questions<T> {
    waiting: Vec<Box<dyn FnOnce(T) + Send>>,
    always: Option<T>,
}

impl<T: Clone> Queue<T> {
    fn ask(&self, answered: impl FnOnce(T) + Send + 'static) {
        let mut questions = self.0.lock().unwrap();
        match questions.always.clone() {
            Some(answer) => answered(answer),
            None => questions.waiting.push(Box::new(answered)),
        }
    }

    async fn answer(&self, answer: T) {
        eventually("a question", || !self.0.lock().unwrap().waiting.is_empty()).await;
        let question = self.0.lock().unwrap().waiting.remove(0);
        question(answer);
    }

    fn answer_all(&self, answer: &T) {
        let mut questions = self.0.lock().unwrap();
        questions.always = Some(answer.clone());
        questions.waiting.drain(..).for_each(|question| question(answer.clone()));
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Questions { waiting: Vec::new(), always: None })))
    }
}
