//! Listeners: sockets, acceptors, and the decision who is let in. They know nothing of the trap protocol: what becomes of a
//! client is up to the [`StartSession`] that they are given.

mod acceptor;
mod door;
mod exhaustion;
mod failure;
mod journal;
mod keepalive;
pub mod proxy_protocol;
mod socket;
mod stream;

use std::net::TcpListener;
use std::sync::Arc;

use actix::prelude::*;
use actix_rt::ArbiterHandle;

use self::acceptor::Acceptor;
use crate::faults::{Faults, Point};
use crate::stats::Stats;
use crate::supervisor::{Stop, exit, spawn_on};

pub use door::{Connection, Door, StartSession};
pub use failure::BindError;
pub use journal::Journal;
pub use socket::{bind, close};
pub use stream::Stream;

/// A thread that sessions live on, and what is counted there.
#[derive(Clone)]
pub struct Worker {
    /// Runs the thread's actors.
    pub arbiter: ArbiterHandle,
    /// Its counters.
    pub stats: Arc<Stats>,
}

/// Owns the acceptors of one listening socket. If one of them dies, the listener dies with it.
pub struct Listener {
    // The supervisor's start function keeps another reference: while no acceptor runs, clients wait in its backlog.
    socket: Arc<TcpListener>,
    door: Arc<Door>,
    workers: Vec<Worker>,
    faults: Faults,
}

impl Listener {
    /// A listener with one acceptor on each of these workers.
    pub const fn new(
        socket: Arc<TcpListener>,
        door: Arc<Door>,
        workers: Vec<Worker>,
        faults: Faults,
    ) -> Self {
        Self { socket, door, workers, faults }
    }

    fn accept(&self, worker: Worker, ctx: &mut Context<Self>) {
        let (socket, door, faults) = (Arc::clone(&self.socket), Arc::clone(&self.door), self.faults.clone());
        let acceptor = move || Acceptor { socket, door, stats: worker.stats, faults };
        let link = spawn_on(&worker.arbiter, acceptor);
        ctx.spawn(link.into_actor(self).map(|end, _, _| exit(format!("an acceptor ended: {end}"))));
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.workers.clone().into_iter().for_each(|worker| self.accept(worker, ctx));
        ctx.run_interval(exhaustion::CALM, |this, _| this.door.exhaustion.look(this.door.journal.listener()));
        ctx.run_interval(journal::WINDOW, |this, _| this.door.journal.summarise());
        ctx.spawn(self.faults.strike(Point::Listener).into_actor(self));
    }
}

impl Handler<Stop> for Listener {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{Shutdown, TcpStream};
    use std::time::Duration;

    use actix_rt::Arbiter;
    use socket2::SockRef;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::timeout;

    use super::*;
    use crate::access::{Permits, Places, Rules};
    use crate::config;
    use crate::supervisor::{Exit, Link, spawn};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// What outlives a listener: its socket, its door, its workers.
    struct Place {
        socket: Arc<TcpListener>,
        door: Arc<Door>,
        workers: Vec<Worker>,
        /// Whom it let in.
        inside: UnboundedReceiver<Connection>,
    }

    impl Place {
        fn new() -> Self {
            let config =
                config::Listener { bind: "127.0.0.1:0".parse().unwrap(), ..config::Listener::default() };
            let (tell, inside) = unbounded_channel();
            let start_session = Arc::new(move |connection| tell.send(connection).unwrap());
            let door =
                Door::new("test", Rules::default(), Places::new(Permits::new(1000), 1000), start_session);
            let worker = |_| Worker { arbiter: Arbiter::new().handle(), stats: Arc::default() };
            Self {
                socket: Arc::new(bind(&config).unwrap()),
                door: Arc::new(door),
                workers: (0..2).map(worker).collect(),
                inside,
            }
        }

        fn listen(&self) -> Link {
            let (socket, door) = (Arc::clone(&self.socket), Arc::clone(&self.door));
            spawn(Listener::new(socket, door, self.workers.clone(), Faults::default())).1
        }

        fn client(&self) -> TcpStream {
            TcpStream::connect(self.socket.local_addr().unwrap()).unwrap()
        }

        async fn next(&mut self) -> Connection {
            timeout(PATIENCE, self.inside.recv()).await.unwrap().unwrap()
        }

        /// Waits until neither the listener nor an acceptor is left.
        async fn deserted(&self) {
            let deserted = async {
                while Arc::strong_count(&self.door) > 1 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(PATIENCE, deserted).await.unwrap();
        }
    }

    #[actix::test]
    async fn whoever_comes_between_two_listeners_is_let_in_by_the_second() {
        let mut place = Place::new();
        let first = place.listen();
        let client = place.client();
        assert_eq!(place.next().await.peer, client.local_addr().unwrap());
        drop(first);
        place.deserted().await;

        let clients: Vec<_> = (0..50).map(|_| place.client()).collect();
        assert!(place.inside.try_recv().is_err());
        let _second = place.listen();
        let mut waiting: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
        while !waiting.is_empty() {
            let peer = place.next().await.peer;
            let index = waiting.iter().position(|address| *address == peer).unwrap();
            waiting.swap_remove(index);
        }
    }

    #[actix::test]
    async fn accepted_sockets_are_probed_out_of_step() {
        let mut place = Place::new();
        let _listener = place.listen();
        let mut times = BTreeSet::new();
        // Each acceptor has a sequence of its own, and two of them may be alike.
        for _ in 0..3 {
            let _client = place.client();
            let Connection { stream: Stream::Tcp(stream), .. } = place.next().await else { panic!() };
            let socket = SockRef::from(&stream);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(120)));
            times.insert(socket.tcp_keepalive_time().unwrap().as_secs());
        }
        assert!(times.len() > 1 && times.iter().all(|time| (45..=75).contains(time)), "{times:?}");
    }

    #[actix::test]
    async fn a_listener_dies_with_its_acceptors() {
        let place = Place::new();
        let link = place.listen();
        SockRef::from(&*place.socket).shutdown(Shutdown::Both).unwrap();
        let exit = timeout(PATIENCE, link).await.unwrap();
        let Exit::Failed(reason) = exit else { panic!("{exit:?}") };
        assert!(reason.starts_with("an acceptor ended: accepting failed: "), "{reason}");
        place.deserted().await;
    }

    #[actix::test]
    async fn an_acceptor_whose_thread_ends_takes_its_listener_along() {
        let mut place = Place::new();
        let link = place.listen();
        let _client = place.client();
        place.next().await;
        place.workers[1].arbiter.stop();
        let exit = timeout(PATIENCE, link).await.unwrap();
        assert_eq!(exit, Exit::Failed("an acceptor ended: killed".into()));
        place.deserted().await;
    }
}
