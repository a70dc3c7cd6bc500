//! The signals that the server answers to. A process that is the first of a container gets only those that it handles.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use log::warn;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy)]
enum Meaning {
    Stop,
    /// Nothing, for this reason. By default it would end the process without a word.
    Nothing(&'static str),
}

const RELOAD: Meaning = Meaning::Nothing("the config is read at start only; restart to apply changes");
const NOTHING: Meaning = Meaning::Nothing("it has no meaning here");

const SIGNALS: [(&str, SignalKind, Meaning); 6] = [
    ("SIGTERM", SignalKind::terminate(), Meaning::Stop),
    ("SIGINT", SignalKind::interrupt(), Meaning::Stop),
    ("SIGQUIT", SignalKind::quit(), Meaning::Stop),
    ("SIGHUP", SignalKind::hangup(), RELOAD),
    ("SIGUSR1", SignalKind::user_defined1(), NOTHING),
    ("SIGUSR2", SignalKind::user_defined2(), NOTHING),
];

struct Handled {
    name: &'static str,
    meaning: Meaning,
    signal: Signal,
}

/// The signals of this process, from when this is made. None is lost before it is asked for.
pub struct Signals(Vec<Handled>);

impl Signals {
    /// Handles them from now on.
    pub fn handle() -> io::Result<Self> {
        let handled =
            SIGNALS.map(|(name, kind, meaning)| Ok(Handled { name, meaning, signal: signal(kind)? }));
        handled.into_iter().collect::<io::Result<_>>().map(Self)
    }

    /// The name of the next signal that asks for a stop. Those that mean nothing are logged meanwhile.
    pub async fn stop(&mut self) -> &'static str {
        loop {
            match poll_fn(|cx| self.poll_next(cx)).await {
                (name, Meaning::Stop) => return name,
                (name, Meaning::Nothing(why)) => warn!("{name} received: ignored, {why}"),
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(&'static str, Meaning)> {
        let received = self.0.iter_mut().find_map(|Handled { name, meaning, signal }| {
            signal.poll_recv(cx).is_ready().then_some((*name, *meaning))
        });
        received.map_or(Poll::Pending, Poll::Ready)
    }
}
