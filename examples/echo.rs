//! The original's echo server: whatever comes goes back. It stands on `listener` and `supervisor` alone and knows nothing
//! of the trap protocol: one actor per connection, a bounded buffer, a deadline for each read and each write.
//!
//! `cargo run --example echo -- 127.0.0.1:5001`, then `nc 127.0.0.1 5001`.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;
use log::{LevelFilter, info};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;
use trap_server::listener::{Admitted, Base, Common, Listener, Listening, Options, Stream};
use trap_server::logging;
use trap_server::stats::Ended;
use trap_server::supervisor::{self, GaveUp, Intensity, Link, Started, Supervisor};

/// Maximum bytes on their way back.
const BUFFER: usize = 4096;

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _logging = logging::start(LevelFilter::Info)?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5001".into());
    let Serving { address, gave_up, link: _link } = serve(address.parse()?, Duration::from_secs(30))?;
    info!("echo listens on {address}");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => Ok(()),
        reason = gave_up => Err(reason?.into()),
    }
}

/// The tree that serves; it ends when this is dropped.
pub struct Serving {
    pub address: SocketAddr,
    pub gave_up: oneshot::Receiver<GaveUp>,
    pub link: Link,
}

/// A supervisor with one listener, which has one worker. A peer has `deadline` for each piece that it sends or takes.
pub fn serve(bind: SocketAddr, deadline: Duration) -> io::Result<Serving> {
    let options = Options::new("echo", bind);
    let listening = Listening::open(&options).map_err(io::Error::other)?;
    let start_session = Arc::new(move |stream, admitted| Echo::start(stream, admitted, deadline));
    let common = Common { workers: vec![Arbiter::try_new()?.handle().into()], ..Common::default() };
    let address = listening.address().ip().unwrap_or(bind);
    let base = Arc::new(Base::new(&options, listening, &common, start_session));
    let (supervisor, gave_up) =
        Supervisor::new(Intensity::new(10, Duration::from_secs(60)), Duration::from_secs(1));
    let start = move || Ok(Started::new(Listener::new(Arc::clone(&base))));
    let (_, link) = supervisor::spawn(supervisor.child("listener", start));
    Ok(Serving { address, gave_up, link })
}

/// One connection. However it ends, its place is free again, and its end is counted.
struct Echo(Admitted);

impl Actor for Echo {
    type Context = Context<Self>;
}

impl Echo {
    fn start(stream: Stream, mut admitted: Admitted, deadline: Duration) {
        // Nobody has to say who it is.
        admitted.settle();
        Self::create(|ctx| {
            let this = Self(admitted);
            ctx.spawn(echo(stream, deadline).into_actor(&this).map(Self::ended));
            this
        });
    }

    fn ended(end: io::Result<()>, Self(admitted): &mut Self, ctx: &mut Context<Self>) {
        info!("ended peer={} {end:?}", admitted.peer());
        admitted.ended(if end.is_ok() { Ended::PeerClosed } else { Ended::SocketError });
        ctx.stop();
    }
}

/// Until the peer closes its side.
async fn echo(mut stream: Stream, deadline: Duration) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(BUFFER);
    while timeout(deadline, stream.read_buf(&mut buffer)).await?? > 0 {
        timeout(deadline, stream.write_all_buf(&mut buffer)).await??;
    }
    Ok(())
}
