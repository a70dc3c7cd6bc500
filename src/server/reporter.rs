//! The reporter: the line with all counters, and the lines about workers that stand still.

use std::sync::Arc;
use std::time::Duration;

use log::{debug, info};
use tokio::sync::watch;

use super::stall;
use crate::config::Config;
use crate::faults::{Faults, Point};
use crate::listener::Worker;
use crate::registry::Table;
use crate::session::Holder;
use crate::stats::Board;

/// What the reporter looks at.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) board: Board,
    pub(super) watched: watch::Receiver<Watched>,
    pub(super) workers: Vec<(Worker, Arc<Holder>)>,
    pub(super) table: Table,
    pub(super) faults: Faults,
}

/// The settings of the reporter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    /// The interval of the line; `None` is never.
    stats_every: Option<Duration>,
    /// The lag above which a worker accepts nothing.
    pub(super) max_lag: Option<Duration>,
}

impl Watched {
    pub(super) const fn of(config: &Config) -> Self {
        Self { stats_every: config.log.stats_every, max_lag: config.server.max_lag }
    }
}

impl Reporter {
    /// Reports until it is dropped.
    pub(super) async fn run(self) {
        tokio::select! {
            () = self.log_stats() => {}
            () = stall::watch(&self.workers, &self.table, &self.watched) => {}
            () = self.faults.strike(Point::Reporter) => {}
        }
    }

    async fn log_stats(&self) {
        let mut watched = self.watched.clone();
        loop {
            let every = watched.borrow_and_update().stats_every;
            let another = watched.wait_for(|watched| watched.stats_every != every);
            tokio::select! {
                () = self.log_each(every) => {}
                Ok(_) = another => {}
            }
        }
    }

    async fn log_each(&self, every: Option<Duration>) {
        let Some(every) = every else { return std::future::pending().await };
        let mut ticks = tokio::time::interval(every);
        // The first tick comes at once, when there is nothing to report.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            info!("stats {}", self.board.totals());
            for (listener, totals) in self.board.listeners() {
                debug!("stats listener={listener} {totals}");
            }
        }
    }
}
