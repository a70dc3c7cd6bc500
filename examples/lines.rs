//! A server of lines: each line is answered with its length. Its limits are in a file, and SIGHUP reads them again, while
//! connections go on.
//!
//! `echo 'max_connections = 100' > lines.conf; cargo run --example lines -- 127.0.0.1:5002 lines.conf`, then
//! `nc 127.0.0.1 5002`.

use std::error::Error;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;
use log::{LevelFilter, info, warn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::codec::{Decoder, LinesCodec};
use trap_server::listener::{Admitted, Base, Common, Listener, Listening, Options, Stream};
use trap_server::logging;
use trap_server::stats::Ended;
use trap_server::supervisor::{self, GaveUp, Intensity, Link, Started, Supervisor};

/// The most bytes of a line.
const LONGEST: usize = 4096;

/// The time for each line, and for each answer.
const DEADLINE: Duration = Duration::from_secs(60);

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _logging = logging::start(LevelFilter::Info)?;
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [bind, limits] = args.as_slice() else { return Err("expected ADDRESS and FILE".into()) };
    let mut lines = Lines::start(bind.parse()?, fs::read_to_string(limits)?.parse()?)?;
    info!("lines listens on {bind}");
    let mut reload = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            reason = &mut lines.gave_up => return Err(reason?.into()),
            _ = reload.recv() => lines.reload_file(Path::new(limits)),
        }
    }
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_connections: usize,
}

impl std::str::FromStr for Limits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().strip_prefix("max_connections = ").and_then(|number| number.parse().ok());
        let max_connections =
            number.ok_or_else(|| format!("expected `max_connections = N`, not {text:?}"))?;
        Ok(Self { max_connections })
    }
}

/// A server that runs; it ends when this is dropped.
pub struct Lines {
    pub gave_up: oneshot::Receiver<GaveUp>,
    options: Options,
    base: Arc<Base>,
    _link: Link,
}

impl Lines {
    pub fn start(bind: SocketAddr, Limits { max_connections }: Limits) -> io::Result<Self> {
        let options = Options { max_connections, ..Options::new("lines", bind) };
        let listening = Listening::open(&options).map_err(io::Error::other)?;
        let common = Common { workers: vec![Arbiter::try_new()?.handle().into()], ..Common::default() };
        let base = Arc::new(Base::new(&options, listening, &common, Arc::new(start)));
        let (supervisor, gave_up) =
            Supervisor::new(Intensity::new(10, Duration::from_secs(60)), Duration::from_secs(1));
        let child = Arc::clone(&base);
        let (_, link) = supervisor::spawn(
            supervisor.child("listener", move || Ok(Started::new(Listener::new(Arc::clone(&child))))),
        );
        Ok(Self { gave_up, options, base, _link: link })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.base.address()?.ip()
    }

    /// New connections find these limits; the others go on.
    pub fn reload(&mut self, Limits { max_connections }: Limits) -> Result<(), Box<dyn Error>> {
        self.options.max_connections = max_connections;
        self.base.configure(&self.options)?;
        info!("reloaded max_connections={max_connections}");
        Ok(())
    }

    fn reload_file(&mut self, file: &Path) {
        let limits = fs::read_to_string(file).map_err(|err| err.to_string()).and_then(|text| text.parse());
        let reloaded = limits.map_err(Into::into).and_then(|limits| self.reload(limits));
        if let Err(err) = reloaded {
            warn!("the limits stay as they are: {err}");
        }
    }
}

/// Serves a connection on the thread of its acceptor: no actor is needed for it.
fn start(stream: Stream, mut admitted: Admitted) {
    // There are no ids.
    admitted.settle();
    actix::spawn(async move {
        let end = answer(stream).await;
        admitted.ended(if end.is_ok() { Ended::PeerClosed } else { Ended::ProtocolError });
    });
}

/// Until the peer closes its side.
async fn answer(mut stream: Stream) -> Result<(), Box<dyn Error>> {
    let (mut codec, mut buffer) = (LinesCodec::new_with_max_length(LONGEST), BytesMut::new());
    loop {
        while let Some(line) = codec.decode(&mut buffer)? {
            let answer = format!("{}\n", line.len());
            timeout(DEADLINE, stream.write_all(answer.as_bytes())).await??;
        }
        if timeout(DEADLINE, stream.read_buf(&mut buffer)).await?? == 0 {
            return Ok(());
        }
    }
}
