//! The reporter: the line with all counters, and the lines about workers that stand still.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::ArbiterHandle;
use log::{debug, info};
use tokio::sync::watch;

use super::stall;
use crate::faults::{Faults, Point};
use crate::registry::Table;
use crate::session::Holder;
use crate::stats::Board;

/// What the reporter looks at.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) board: Board,
    /// The interval of the line; `None` is never.
    pub(super) stats_every: watch::Receiver<Option<Duration>>,
    pub(super) workers: Vec<(ArbiterHandle, Arc<Holder>)>,
    pub(super) table: Table,
    pub(super) faults: Faults,
}

impl Reporter {
    /// Reports until it is dropped.
    pub(super) async fn run(self) {
        tokio::select! {
            () = self.log_stats() => {}
            () = stall::watch(&self.workers, &self.table) => {}
            () = self.faults.strike(Point::Reporter) => {}
        }
    }

    async fn log_stats(&self) {
        let mut stats_every = self.stats_every.clone();
        loop {
            let every = *stats_every.borrow_and_update();
            tokio::select! {
                () = self.log_each(every) => {}
                Ok(()) = stats_every.changed() => {}
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
