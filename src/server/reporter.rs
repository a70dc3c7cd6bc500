//! The reporter: the line with all counters, and the lines about workers that stand still.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::ArbiterHandle;
use log::{debug, info};

use super::stall;
use crate::faults::{Faults, Point};
use crate::registry::Table;
use crate::session::Holder;
use crate::stats::Board;

/// What the reporter looks at.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) board: Board,
    pub(super) stats_every: Option<Duration>,
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
        let Some(every) = self.stats_every else { return std::future::pending().await };
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
