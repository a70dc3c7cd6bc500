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
use trap_server::access::{Permits, Place, Places};
use trap_server::config;
use trap_server::faults::Faults;
use trap_server::listener::{self, Connection, Door, Listener, Stream, Worker};
use trap_server::logging;
use trap_server::stats::Stats;
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
    let config = config::Listener { name: "echo".into(), bind, ..config::Listener::default() };
    let socket = Arc::new(listener::bind(&config).map_err(io::Error::other)?);
    let address = socket.local_addr()?;
    let start_session = Arc::new(move |connection| Echo::start(connection, deadline));
    let door = Arc::new(Door::new(
        config.name.as_str(),
        config.access,
        Places::new(Permits::new(1000), 1000),
        start_session,
    ));
    let workers = vec![Worker { arbiter: Arbiter::try_new()?.handle(), stats: Arc::new(Stats::default()) }];
    let (supervisor, gave_up) =
        Supervisor::new(Intensity::new(10, Duration::from_secs(60)), Duration::from_secs(1));
    let supervisor = supervisor.child("listener", move || {
        let listener =
            Listener::new(Arc::clone(&socket), Arc::clone(&door), workers.clone(), Faults::default());
        Ok(Started::new(listener))
    });
    let (_, link) = supervisor::spawn(supervisor);
    Ok(Serving { address, gave_up, link })
}

/// One connection. However it ends, its place is free again.
struct Echo {
    _place: Place,
}

impl Actor for Echo {
    type Context = Context<Self>;
}

impl Echo {
    fn start(Connection { stream, peer, mut place, .. }: Connection, deadline: Duration) {
        Self::create(|ctx| {
            // Clients do not authenticate.
            place.settle();
            let this = Self { _place: place };
            ctx.spawn(echo(stream, deadline).into_actor(&this).map(move |end, _, ctx| {
                info!("ended peer={peer} {end:?}");
                ctx.stop();
            }));
            this
        });
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
