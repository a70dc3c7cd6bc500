//! Reloads of a server in this process, under load.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix_rt::System;
use common::{PATIENCE, eventually_so};
use tokio::task::JoinSet;
use trap_server::access::Excess;
use trap_server::address::Address;
use trap_server::client::{Device, Error};
use trap_server::config::{self, Config};
use trap_server::server::{Running, Server};
use trap_server::stats::{Ended, Refused};

/// Runs a server and a test of it on one thread.
fn with_server(config: Config, test: impl AsyncFnOnce(Running)) {
    common::logs::capture();
    System::new().block_on(async {
        let running = Server::bind(config).unwrap().start().unwrap();
        test(running).await;
    });
}

fn address(running: &Running, listener: &str) -> std::net::SocketAddr {
    running.listeners().address(listener).as_ref().and_then(Address::ip).unwrap()
}

async fn device(address: std::net::SocketAddr, id: &str) -> Result<Device, Error> {
    let mut device = Device::connect_within(PATIENCE, address).await?;
    device.auth(id).await?;
    Ok(device)
}

#[test]
fn limits_change_while_connections_stay() {
    let config = common::config("limits");
    with_server(config.clone(), async |mut running| {
        let at = address(&running, "limits");
        let mut first = device(at, "first").await.unwrap();
        let mut limited = config.clone();
        limited.listeners[0].max_connections = 1;
        running.reload(&limited).await.unwrap();
        assert!(device(at, "second").await.is_err());
        limited.listeners[0].max_connections = 100;
        limited.listeners[0].connection_rate = Some(1);
        limited.listeners[0].connection_excess = Excess::Refuse;
        running.reload(&limited).await.unwrap();
        assert_eq!(running.config().listeners[0].connection_rate, Some(1));
        let mut refused = 0;
        for _ in 0..20 {
            refused += u32::from(device(at, "second").await.is_err());
        }
        assert!(refused > 0);
        assert_eq!(running.stats().totals().refused(Refused::Rate), u64::from(refused));
        running.reload(&config).await.unwrap();
        device(at, "third").await.unwrap();
        first.ping().await.unwrap();
        drop(first);
        running.stop().await;
    });
}

/// The config of this round: listeners and limits come and go, but for the first listener.
fn variant(base: &Config, round: usize) -> Config {
    let mut config = base.clone();
    let steady = config.listeners[0].clone();
    let named = |name: &str, change: fn(&mut config::Listener)| {
        let mut listener = config::Listener { name: name.into(), ..steady.clone() };
        change(&mut listener);
        listener
    };
    if round % 2 == 1 {
        config.listeners.push(named("odd", |listener| listener.source_connections = Some(1000)));
        config.session.idle_timeout = Some(Duration::from_secs(3600));
        config.listeners[0].connection_rate = Some(1_000_000);
    }
    if round % 3 == 1 {
        config.listeners.push(named("third", |listener| listener.acceptors = 1));
        config.session.messages_per_second = Some(1_000_000);
        config.server.max_connections = Some(10_000);
    }
    config.listeners[0].acceptors = 1 + round % 2;
    config.log.stats_every = Some(Duration::from_secs(60 + round as u64));
    config
}

/// A config whose last listener wants an address that is taken.
fn broken(base: &Config, taken: std::net::SocketAddr) -> Config {
    let mut config = base.clone();
    config.listeners.push(config::Listener {
        name: "broken".into(),
        bind: taken.into(),
        ..config.listeners[0].clone()
    });
    config.session.max_frame = 1;
    config
}

#[test]
fn a_hundred_reloads_under_load_lose_no_session_and_leave_nothing() {
    let base = common::config("steady");
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    with_server(base.clone(), async |mut running| {
        let at = address(&running, "steady");
        let enough = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicU64::new(0));
        let mut devices = JoinSet::new();
        for number in 0..16 {
            let mut device = device(at, &format!("device{number}")).await.unwrap();
            let (enough, rounds) = (Arc::clone(&enough), Arc::clone(&rounds));
            devices.spawn(async move {
                while !enough.load(Ordering::Relaxed) {
                    device.ping().await?;
                    device.send(b"some data").await?;
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Error>(())
            });
        }
        let before = open_files();
        let mut visitors = Vec::new();
        for round in 0..100 {
            if round % 10 == 9 {
                running.reload(&broken(&base, taken)).await.unwrap_err();
            } else {
                running.reload(&variant(&base, round)).await.unwrap();
            }
            for name in running.listeners().names() {
                // Its session ends with its listener, if that goes.
                let visitor = device(address(&running, &name), &format!("visitor{name}")).await.unwrap();
                visitors.push(visitor);
            }
            let done = rounds.load(Ordering::Relaxed);
            eventually_so("devices are served", async || rounds.load(Ordering::Relaxed) > done + 16).await;
        }
        enough.store(true, Ordering::Relaxed);
        while let Some(worked) = devices.join_next().await {
            worked.unwrap().unwrap();
        }
        running.reload(&base).await.unwrap();
        drop(visitors);
        eventually_so("all sessions have ended", async || running.open().count() == 0).await;
        let totals = running.stats().totals();
        assert!(totals.ended(Ended::Closed) > 50, "{totals}");
        assert_eq!((totals.ended(Ended::Crashed), totals.not_stored), (0, 0));
        assert!(running.table().is_empty());
        assert_eq!((running.budget().used(), running.strangers().used()), (0, 0));
        assert!(running.listeners().permits().iter().all(|permits| permits.in_use() == 0));
        assert_eq!(running.listeners().names(), ["steady"]);
        eventually_so("no descriptor is left", async || open_files() <= before).await;
        running.stop().await;
    });
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
