//! Devices that are at work while something fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::{JoinHandle, JoinSet};
use trap_server::client::{Device, Error};

use crate::common::{PATIENCE, TestServer, eventually};

/// Devices at work in each test.
pub const LOAD: usize = 24;

/// Devices that ping and send all the time, and check every answer.
pub struct Load {
    pub devices: Vec<Worker>,
    enough: Arc<AtomicBool>,
}

pub struct Worker {
    pub task: JoinHandle<Result<(), Error>>,
    rounds: Arc<AtomicU64>,
}

impl Load {
    pub async fn start(server: &TestServer) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let mut devices = Vec::new();
        for number in 0..LOAD {
            let (device, rounds) = (server.authenticated(&format!("load{number}")).await, Arc::default());
            let task = tokio::spawn(work(device, Arc::clone(&rounds), Arc::clone(&enough)));
            devices.push(Worker { task, rounds });
        }
        let load = Self { devices, enough };
        load.goes_on().await;
        load
    }

    /// Waits until every device that is connected was answered again.
    pub async fn goes_on(&self) {
        let rounds = |worker: &Worker| worker.rounds.load(Ordering::Relaxed);
        let before: Vec<_> = self.devices.iter().map(rounds).collect();
        let went_on = || {
            self.devices
                .iter()
                .zip(&before)
                .all(|(worker, before)| worker.task.is_finished() || rounds(worker) > before + 1)
        };
        eventually("every device is answered", went_on).await;
    }

    /// Ends the work, and tells what went wrong.
    pub async fn finish(self) -> Vec<Error> {
        self.enough.store(true, Ordering::Relaxed);
        let mut errors = Vec::new();
        for worker in self.devices {
            errors.extend(worker.task.await.unwrap().err());
        }
        errors
    }
}

async fn work(mut device: Device, rounds: Arc<AtomicU64>, enough: Arc<AtomicBool>) -> Result<(), Error> {
    while !enough.load(Ordering::Relaxed) {
        device.ping().await?;
        device.send(b"some data").await?;
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Devices that all connect at the same time, each served. The id of each is held by then, so that the registry has to decide.
pub async fn newcomers(address: SocketAddr, count: usize) {
    let mut coming = JoinSet::new();
    for number in 0..count {
        coming.spawn(async move {
            let id = format!("newcomer{number}");
            let mut older = Device::connect_within(PATIENCE, address).await?;
            older.auth(&id).await?;
            let mut device = Device::connect_within(PATIENCE, address).await?;
            device.auth(&id).await?;
            device.send(b"hello").await
        });
    }
    while let Some(served) = coming.join_next().await {
        served.unwrap().unwrap();
    }
}
