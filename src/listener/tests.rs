use std::collections::BTreeSet;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle};
use socket2::SockRef;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::*;
use crate::access::Rules;
use crate::stats::{Board, Refused};
use crate::supervisor::{Exit, Link, spawn};

const PATIENCE: Duration = Duration::from_secs(30);

/// What outlives a listener, and whom it let in.
struct Place {
    base: Arc<Base>,
    workers: Vec<ArbiterHandle>,
    board: Board,
    inside: UnboundedReceiver<(Stream, Admitted)>,
}

impl Place {
    fn new() -> Self {
        Self::with(&options())
    }

    fn with(options: &Options) -> Self {
        let (tell, inside) = unbounded_channel();
        let start_session =
            Arc::new(move |stream, admitted| tell.send((stream, admitted)).unwrap_or_default());
        let workers: Vec<_> = (0..2).map(|_| Arbiter::new().handle()).collect();
        let common =
            Common { workers: workers.iter().cloned().map(Worker::from).collect(), ..Common::default() };
        let base = Base::new(options, Listening::open(options).unwrap(), &common, start_session);
        let board = common.board;
        Self { base: Arc::new(base), workers, board, inside }
    }

    fn listen(&self) -> Link {
        spawn(Listener::new(Arc::clone(&self.base))).1
    }

    fn client(&self) -> TcpStream {
        TcpStream::connect(self.base.address().unwrap().ip().unwrap()).unwrap()
    }

    async fn next(&mut self) -> (Stream, Admitted) {
        timeout(PATIENCE, self.inside.recv()).await.unwrap().unwrap()
    }

    /// Waits until neither the listener nor an acceptor is left.
    async fn deserted(&self) {
        let deserted = async {
            while Arc::strong_count(&self.base.door) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, deserted).await.unwrap();
    }
}

fn options() -> Options {
    Options { acceptors: 2, ..Options::new("test", SocketAddr::from(([127, 0, 0, 1], 0))) }
}

fn peer_of(client: &TcpStream) -> Peer {
    client.local_addr().unwrap().into()
}

#[actix::test]
async fn clients_that_come_between_two_listeners_are_let_in_by_the_second() {
    let mut place = Place::new();
    let first = place.listen();
    let client = place.client();
    assert_eq!(place.next().await.1.peer(), peer_of(&client));
    drop(first);
    place.deserted().await;

    let clients: Vec<_> = (0..50).map(|_| place.client()).collect();
    assert!(place.inside.try_recv().is_err());
    let _second = place.listen();
    let mut waiting: Vec<_> = clients.iter().map(peer_of).collect();
    while !waiting.is_empty() {
        let peer = place.next().await.1.peer();
        let index = waiting.iter().position(|waiting| *waiting == peer).unwrap();
        waiting.swap_remove(index);
    }
    assert_eq!(place.board.totals().accepted, 51);
}

#[actix::test]
async fn accepted_sockets_are_probed_out_of_step() {
    let mut options = options();
    let [idle, interval] = [60, 15].map(Duration::from_secs);
    options.socket.keepalive = Some(Keepalive { idle, interval, count: 4 });
    let mut place = Place::with(&options);
    let _listener = place.listen();
    let mut times = BTreeSet::new();
    for _ in 0..60 {
        let _client = place.client();
        let (Stream::Tcp(stream), _) = place.next().await else { panic!("not TCP") };
        times.insert(SockRef::from(&stream).tcp_keepalive_time().unwrap().as_secs());
    }
    assert!(times.len() > 2 && times.iter().all(|time| (45..=75).contains(time)), "{times:?}");
}

#[actix::test]
async fn a_listener_dies_with_its_acceptors() {
    let place = Place::new();
    let link = place.listen();
    let sockets = place.base.shares();
    SockRef::from(&*sockets[0].sockets[0]).shutdown(Shutdown::Both).unwrap();
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
    let _inside = place.next().await;
    place.workers[1].stop();
    let exit = timeout(PATIENCE, link).await.unwrap();
    assert_eq!(exit, Exit::Failed("an acceptor ended: killed".into()));
    place.deserted().await;
}

#[actix::test]
async fn a_closed_gate_keeps_clients_waiting_also_those_that_an_acceptor_was_woken_for() {
    let mut place = Place::new();
    let _listener = place.listen();
    let _first = (place.client(), place.next().await);
    assert!(place.base.gate().hold(Hold::Paused));
    let clients: Vec<_> = (0..5).map(|_| place.client()).collect();
    assert!(timeout(Duration::from_millis(100), place.inside.recv()).await.is_err());
    assert!(place.base.gate().release(Hold::Paused));
    for _ in &clients {
        let _inside = place.next().await;
    }
}

#[actix::test]
async fn new_rules_and_limits_apply_to_the_next_client() {
    let mut place = Place::new();
    let _listener = place.listen();
    let _first = (place.client(), place.next().await);
    let mut options = options();
    options.access = Rules::parse(&["deny 127.0.0.0/8", "allow all"]).unwrap();
    assert!(!place.base.configure(&options).unwrap());
    let barred = place.client();
    let refused = async {
        while place.board.totals().refused(Refused::Denied) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
    drop(barred);
    options.access = Rules::default();
    options.max_connections = 7;
    place.base.configure(&options).unwrap();
    let _second = (place.client(), place.next().await);
    assert_eq!(place.base.permits().max(), 7);
    assert!(place.base.configure(&Options { acceptors: 1, ..options }).unwrap());
}

#[actix::test]
async fn a_peer_on_a_unix_socket_is_its_process_and_its_user() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut options = Options { bind: Address::Unix(path.clone()), ..options() };
    options.access = Rules::parse(&["deny all"]).unwrap();
    let mut place = Place::with(&options);
    let _listener = place.listen();
    let _client = UnixStream::connect(&path).unwrap();
    let (stream, admitted) = place.next().await;
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(admitted.peer(), Peer::Unix { pid: std::process::id(), uid });
    assert!(matches!(stream, Stream::Unix(_)));
    place.base.close();
    assert!(!path.exists());
}
