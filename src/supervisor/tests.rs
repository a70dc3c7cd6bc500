//! Actors that end in every way, and the supervisor's reaction.

use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_rt::Arbiter;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::*;

mod children;
mod lives;
mod restarts;
mod shutdown;

/// Longer than any step of these tests.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
enum End {
    Stop,
    Exit,
    PanicWithStr,
    PanicWithString,
    PanicWithNumber,
    /// Continues.
    Not,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum News {
    Started(&'static str),
    AskedToStop(&'static str),
    Gone(&'static str),
}

/// An actor that ends as requested, and reports its life.
struct Probe {
    name: &'static str,
    obeys: bool,
    news: UnboundedSender<News>,
}

impl Actor for Probe {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // Without work, an actor without any address left would stop by itself.
        ctx.spawn(std::future::pending().into_actor(self));
        let _ = self.news.send(News::Started(self.name));
    }
}

impl Handler<Stop> for Probe {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        let _ = self.news.send(News::AskedToStop(self.name));
        if self.obeys {
            ctx.stop();
        }
    }
}

impl Handler<End> for Probe {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Context<Self>) {
        match end {
            End::Stop => ctx.stop(),
            End::Exit => exit("no more work"),
            End::PanicWithStr => panic!("a str"),
            End::PanicWithString => panic!("a string, {}", self.name),
            End::PanicWithNumber => panic_any(7),
            End::Not => {}
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.news.send(News::Gone(self.name));
    }
}

fn probe(name: &'static str) -> (Probe, UnboundedReceiver<News>) {
    let (news, told) = unbounded_channel();
    (Probe { name, obeys: true, news }, told)
}

/// The result of `what`, within the timeout.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it never came")
}

async fn next(news: &mut UnboundedReceiver<News>) -> News {
    soon(news.recv()).await.unwrap()
}

#[actix::test]
async fn a_link_reports_how_its_actor_ended() {
    for (end, exit) in [
        (End::Stop, Exit::Normal),
        (End::Exit, Exit::Failed("no more work".into())),
        (End::PanicWithStr, Exit::Panicked("a str".into())),
        (End::PanicWithString, Exit::Panicked("a string, a".into())),
        (End::PanicWithNumber, Exit::Panicked("no text".into())),
    ] {
        let (addr, link) = spawn(probe("a").0);
        addr.do_send(end);
        assert_eq!(soon(link).await, exit);
        assert!(!addr.connected());
    }
}

#[test]
fn ends_in_words() {
    for (exit, words) in [
        (Exit::Normal, "stopped"),
        (Exit::Failed("no more work".into()), "no more work"),
        (Exit::Panicked("a str".into()), "panicked: a str"),
        (Exit::Killed, "killed"),
    ] {
        assert_eq!(exit.to_string(), words);
    }
}

#[actix::test]
async fn a_dropped_link_kills_its_actor() {
    let (probe, mut news) = probe("a");
    let (addr, link) = spawn(probe);
    soon(addr.send(End::Not)).await.unwrap();
    drop(link);
    assert_eq!(next(&mut news).await, News::Started("a"));
    assert_eq!(next(&mut news).await, News::Gone("a"));
    assert!(soon(addr.send(End::Not)).await.is_err());
}

#[actix::test]
async fn a_dropped_link_kills_its_actor_on_another_thread() {
    let arbiter = Arbiter::new();
    let (probe, mut news) = probe("a");
    let link = spawn_on(&arbiter.handle(), || probe);
    assert_eq!(next(&mut news).await, News::Started("a"));
    drop(link);
    assert_eq!(next(&mut news).await, News::Gone("a"));
}

#[actix::test]
async fn a_link_that_is_dropped_before_its_actor_is_made_kills_it_too() {
    let arbiter = Arbiter::new();
    let (go_on, told) = std::sync::mpsc::channel();
    arbiter.spawn_fn(move || told.recv_timeout(PATIENCE).unwrap());
    let (probe, mut news) = probe("a");
    drop(spawn_on(&arbiter.handle(), || probe));
    go_on.send(()).unwrap();
    while next(&mut news).await != News::Gone("a") {}
}

#[actix::test]
async fn an_actor_without_its_thread_counts_as_killed() {
    let arbiter = Arbiter::new();
    let (probe, mut news) = probe("a");
    let link = spawn_on(&arbiter.handle(), || probe);
    assert_eq!(next(&mut news).await, News::Started("a"));
    arbiter.stop();
    assert_eq!(soon(link).await, Exit::Killed);

    let handle = arbiter.handle();
    arbiter.join().unwrap();
    assert_eq!(soon(spawn_on(&handle, || self::probe("a").0)).await, Exit::Killed);
}

/// Short, so that a test restarts often.
const MAX_BACKOFF: Duration = Duration::from_millis(10);

/// A supervisor of probes with these names. A probe whose name ends in "deaf" ignores the stop request.
struct Tree {
    supervisor: Addr<Supervisor>,
    _link: Link,
    gave_up: oneshot::Receiver<GaveUp>,
    names: Vec<Name<Probe>>,
    tell: UnboundedSender<News>,
    news: UnboundedReceiver<News>,
}

impl Tree {
    async fn start(names: &[&'static str], max_restarts: usize) -> Self {
        let (tell, news) = unbounded_channel();
        let intensity = Intensity::new(max_restarts, PATIENCE * 10);
        let (mut supervisor, gave_up) = Supervisor::new(intensity, MAX_BACKOFF);
        let registered: Vec<_> = names.iter().map(|_| Name::new()).collect();
        for (name, registered) in names.iter().copied().zip(&registered) {
            supervisor = supervisor.with(spec(name, registered, &tell));
        }
        let (supervisor, link) = spawn(supervisor);
        let mut tree = Self { supervisor, _link: link, gave_up, names: registered, tell, news };
        for name in names {
            assert_eq!(tree.next().await, News::Started(name));
        }
        tree
    }

    async fn next(&mut self) -> News {
        next(&mut self.news).await
    }

    /// Adds a probe of this name.
    async fn add(&mut self, name: &'static str, change: impl FnOnce(ChildSpec) -> ChildSpec) {
        let registered = Name::new();
        let spec = change(spec(name, &registered, &self.tell));
        self.ask(StartChild(spec)).await.unwrap();
        self.names.push(registered);
        assert_eq!(self.next().await, News::Started(name));
    }

    /// Makes this child end; its next incarnation may continue.
    fn end(&self, child: usize, end: End) {
        let (name, mut end) = (self.names[child].clone(), Some(end));
        actix_rt::spawn(async move { name.call(|| end.take().unwrap_or(End::Not)).await });
    }

    async fn ask<M>(&self, request: M) -> M::Result
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Supervisor: Handler<M>,
        Context<Supervisor>: actix::dev::ToEnvelope<Supervisor, M>,
    {
        soon(self.supervisor.send(request)).await.unwrap()
    }

    async fn terminate(&self, id: &str, within: Duration) -> Result<(), ChildError> {
        self.ask(TerminateChild { id: id.into(), within }).await
    }

    async fn stop_all(&self, within: Duration) -> Vec<String> {
        self.ask(StopAll { deadline: tokio::time::Instant::now() + within }).await
    }

    async fn states(&self) -> Vec<(String, ChildState)> {
        let children = self.ask(WhichChildren).await;
        children.into_iter().map(|child| (child.id, child.state)).collect()
    }
}

/// A probe under `registered`.
fn spec(name: &'static str, registered: &Name<Probe>, news: &UnboundedSender<News>) -> ChildSpec {
    let (registered, news) = (registered.clone(), news.clone());
    ChildSpec::new(name, move || {
        let probe = Probe { name, obeys: !name.ends_with("deaf"), news: news.clone() };
        Ok(Started::named(probe, &registered))
    })
}

#[actix::test]
async fn only_the_child_that_ended_is_restarted_however_it_ended() {
    let mut tree = Tree::start(&["a", "b"], 1000).await;
    for end in [End::Stop, End::Exit, End::PanicWithStr, End::PanicWithNumber] {
        tree.end(1, end);
        assert_eq!(tree.next().await, News::Gone("b"));
        assert_eq!(tree.next().await, News::Started("b"));
    }
    soon(tree.names[0].call(|| End::Not)).await.unwrap();
    assert!(tree.news.try_recv().is_err());
}

#[actix::test]
async fn children_that_exceed_the_restart_limit_are_not_restarted() {
    let mut tree = Tree::start(&["a", "b"], 2).await;
    for child in [0, 1] {
        tree.end(child, End::PanicWithStr);
        assert!(matches!(tree.next().await, News::Gone(_)));
        assert!(matches!(tree.next().await, News::Started(_)));
    }
    assert!(tree.gave_up.try_recv().is_err());
    tree.end(0, End::Exit);
    assert_eq!(tree.next().await, News::Gone("a"));
    let reason = soon(&mut tree.gave_up).await.unwrap();
    assert_eq!(reason.to_string(), "a ended (no more work): restart limit exceeded (2 in 5m)");
    assert_eq!(tree.stop_all(PATIENCE).await, [""; 0]);
    assert_eq!(tree.next().await, News::AskedToStop("b"));
    assert_eq!(tree.next().await, News::Gone("b"));
    assert!(tree.news.try_recv().is_err());
}

#[actix::test]
async fn a_child_that_cannot_start_is_retried_up_to_the_restart_limit() {
    for (is_panic, reason) in [(false, "no socket"), (true, "panicked: no socket")] {
        let tries = Arc::new(AtomicUsize::new(0));
        let (supervisor, gave_up) = Supervisor::new(Intensity::new(3, PATIENCE * 10), MAX_BACKOFF);
        let counted = Arc::clone(&tries);
        let supervisor = supervisor.child("a", move || {
            counted.fetch_add(1, Ordering::Relaxed);
            assert!(!is_panic, "no socket");
            Err("no socket".into())
        });
        let (_addr, _link) = spawn(supervisor);
        let text = soon(gave_up).await.unwrap().to_string();
        assert!(text.starts_with(&format!("a ended ({reason}): restart limit exceeded (3 in ")), "{text}");
        assert_eq!(tries.load(Ordering::Relaxed), 4);
    }
}

#[actix::test]
async fn a_child_that_could_not_start_does_when_it_can() {
    let (probe, mut news) = probe("a");
    let (mut tries, mut probe) = (0, Some(probe));
    let (supervisor, mut gave_up) = Supervisor::new(Intensity::new(3, PATIENCE * 10), MAX_BACKOFF);
    let supervisor = supervisor.child("a", move || {
        tries += 1;
        if tries < 3 {
            return Err("not yet".into());
        }
        Ok(Started::named(probe.take().unwrap(), &Name::new()))
    });
    let (_addr, _link) = spawn(supervisor);
    assert_eq!(next(&mut news).await, News::Started("a"));
    assert!(gave_up.try_recv().is_err());
}

#[actix::test]
async fn children_die_with_their_supervisor() {
    let Tree { _link, mut news, .. } = Tree::start(&["a", "b"], 1000).await;
    drop(_link);
    assert!(matches!(next(&mut news).await, News::Gone(_)));
    assert!(matches!(next(&mut news).await, News::Gone(_)));
}
