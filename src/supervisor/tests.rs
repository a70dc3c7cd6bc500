//! Actors that end in every way, and the supervisor's reaction.

use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_rt::Arbiter;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::*;

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
async fn a_link_tells_how_its_actor_ended() {
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
        (Exit::Normal, "it stopped"),
        (Exit::Failed("no more work".into()), "no more work"),
        (Exit::Panicked("a str".into()), "it panicked: a str"),
        (Exit::Killed, "it was killed"),
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
async fn an_actor_whose_thread_ends_or_was_never_there_was_killed() {
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

/// A supervisor of probes with these names. A probe whose name ends in "deaf" ignores the stop request.
struct Tree {
    supervisor: Addr<Supervisor>,
    _link: Link,
    gave_up: oneshot::Receiver<GaveUp>,
    names: Vec<Name<Probe>>,
    news: UnboundedReceiver<News>,
}

impl Tree {
    async fn start(names: &[&'static str], max_restarts: usize) -> Self {
        let (tell, news) = unbounded_channel();
        let intensity = Intensity::new(max_restarts, PATIENCE * 10);
        let (mut supervisor, gave_up) = Supervisor::new(intensity);
        let registered: Vec<_> = names.iter().map(|_| Name::new()).collect();
        for (name, registered) in names.iter().copied().zip(registered.clone()) {
            let news = tell.clone();
            supervisor = supervisor.child(name, move || {
                let probe = Probe { name, obeys: !name.ends_with("deaf"), news: news.clone() };
                Ok(Started::named(probe, &registered))
            });
        }
        let (supervisor, link) = spawn(supervisor);
        let mut tree = Self { supervisor, _link: link, gave_up, names: registered, news };
        for name in names {
            assert_eq!(tree.next().await, News::Started(name));
        }
        tree
    }

    async fn next(&mut self) -> News {
        next(&mut self.news).await
    }

    /// Makes this child end; its next incarnation may continue.
    fn end(&self, child: usize, end: End) {
        let (name, mut end) = (self.names[child].clone(), Some(end));
        actix_rt::spawn(async move { name.call(|| end.take().unwrap_or(End::Not)).await });
    }

    async fn terminate(&self, prefix: &'static str, within: Duration) -> Vec<String> {
        soon(self.supervisor.send(Terminate { prefix, within })).await.unwrap()
    }
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
async fn children_that_end_too_often_are_not_restarted_any_more() {
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
    assert_eq!(tree.terminate("", PATIENCE).await, [""; 0]);
    assert_eq!(tree.next().await, News::AskedToStop("b"));
    assert_eq!(tree.next().await, News::Gone("b"));
    // The child was terminated between two incarnations.
    soon(tree.supervisor.send(Restart(0))).await.unwrap();
    assert!(tree.news.try_recv().is_err());
}

#[actix::test]
async fn a_child_that_cannot_start_is_tried_again_until_that_is_too_often() {
    let tries = Arc::new(AtomicUsize::new(0));
    let (supervisor, gave_up) = Supervisor::new(Intensity::new(3, PATIENCE * 10));
    let counted = Arc::clone(&tries);
    let supervisor = supervisor.child("a", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Err("no socket".into())
    });
    let (_addr, _link) = spawn(supervisor);
    let reason = soon(gave_up).await.unwrap().to_string();
    assert!(reason.starts_with("a ended (no socket): restart limit exceeded (3 in "), "{reason}");
    assert_eq!(tries.load(Ordering::Relaxed), 4);
}

#[actix::test]
async fn a_child_that_could_not_start_does_when_it_can() {
    let (probe, mut news) = probe("a");
    let (mut tries, mut probe) = (0, Some(probe));
    let (supervisor, mut gave_up) = Supervisor::new(Intensity::new(3, PATIENCE * 10));
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
async fn children_are_terminated_by_prefix_all_at_once_and_not_restarted() {
    let mut tree = Tree::start(&["x 1", "x 2", "y"], 1000).await;
    assert_eq!(tree.terminate("x", PATIENCE).await, [""; 0]);
    let mut gone = Vec::new();
    while gone.len() < 2 {
        if let News::Gone(name) = tree.next().await {
            gone.push(name);
        }
    }
    gone.sort_unstable();
    assert_eq!(gone, ["x 1", "x 2"]);
    soon(tree.names[2].call(|| End::Not)).await.unwrap();
    assert!(tree.news.try_recv().is_err());
    assert_eq!(tree.terminate("x", PATIENCE).await, [""; 0]);
    assert!(tree.news.try_recv().is_err());
}

#[actix::test]
async fn a_child_that_does_not_stop_is_killed_and_named_and_costs_the_others_nothing() {
    let mut tree = Tree::start(&["x deaf", "x", "x too deaf"], 1000).await;
    assert_eq!(tree.terminate("x", Duration::from_millis(50)).await, ["x deaf", "x too deaf"]);
    let mut gone = Vec::new();
    while gone.len() < 3 {
        if let News::Gone(name) = tree.next().await {
            gone.push(name);
        }
    }
    assert_eq!(gone[0], "x");
    soon(tree.supervisor.send(Restart(0))).await.unwrap();
    soon(tree.supervisor.send(Restart(1))).await.unwrap();
    assert!(tree.news.try_recv().is_err(), "a terminated child was restarted");
}

#[actix::test]
async fn a_child_that_crashes_instead_of_stopping_has_ended_too() {
    let mut tree = Tree::start(&["deaf"], 1000).await;
    let terminated = tree.supervisor.send(Terminate { prefix: "deaf", within: PATIENCE });
    let terminated = actix_rt::spawn(terminated);
    assert_eq!(tree.next().await, News::AskedToStop("deaf"));
    tree.end(0, End::PanicWithStr);
    assert_eq!(soon(terminated).await.unwrap().unwrap(), [""; 0]);
    assert_eq!(tree.next().await, News::Gone("deaf"));
    assert!(tree.news.try_recv().is_err());
}

#[actix::test]
async fn children_die_with_their_supervisor() {
    let Tree { _link, mut news, .. } = Tree::start(&["a", "b"], 1000).await;
    drop(_link);
    assert!(matches!(next(&mut news).await, News::Gone(_)));
    assert!(matches!(next(&mut news).await, News::Gone(_)));
}
