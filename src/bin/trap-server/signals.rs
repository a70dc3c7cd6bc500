//! The signals that the server handles. The first process of a container gets only those that it handles.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use log::warn;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The effect of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A stop, by the signal of this name.
    Stop(&'static str),
    /// A reload of the config.
    Reload,
    /// None. By default it would end the process without a line in the log.
    Nothing(&'static str),
}

const SIGNALS: [(SignalKind, Request); 6] = [
    (SignalKind::terminate(), Request::Stop("SIGTERM")),
    (SignalKind::interrupt(), Request::Stop("SIGINT")),
    (SignalKind::quit(), Request::Stop("SIGQUIT")),
    (SignalKind::hangup(), Request::Reload),
    (SignalKind::user_defined1(), Request::Nothing("SIGUSR1")),
    (SignalKind::user_defined2(), Request::Nothing("SIGUSR2")),
];

/// The signals of this process. From its creation on, none is lost.
pub struct Signals([(Signal, Request); SIGNALS.len()]);

impl Signals {
    /// Handles them from now on.
    pub fn handle() -> io::Result<Self> {
        let [a, b, c, d, e, f] = SIGNALS.map(|(kind, request)| signal(kind).map(|signal| (signal, request)));
        Ok(Self([a?, b?, c?, d?, e?, f?]))
    }

    /// The next request. Signals without an effect are logged.
    pub async fn next(&mut self) -> Request {
        loop {
            match poll_fn(|cx| self.poll_next(cx)).await {
                Request::Nothing(name) => warn!("{name} received: ignored, this signal has no effect"),
                request => return request,
            }
        }
    }

    /// The name of the next signal that requests a stop. A reload is rejected.
    pub async fn stop(&mut self) -> &'static str {
        loop {
            match self.next().await {
                Request::Stop(name) => return name,
                _ => warn!("SIGHUP received: ignored, the server is starting or stopping"),
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Request> {
        let received = self
            .0
            .iter_mut()
            .find_map(|(signal, request)| signal.poll_recv(cx).is_ready().then_some(*request));
        received.map_or(Poll::Pending, Poll::Ready)
    }
}
