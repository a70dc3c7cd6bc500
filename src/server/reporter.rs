//! The reporter: the line with all counters.

use std::sync::Arc;
use std::time::Duration;

use log::info;

use crate::faults::{Faults, Point};
use crate::stats::{Stats, Totals};

/// Reports until it is dropped.
pub(super) async fn report(stats: Vec<Arc<Stats>>, every: Option<Duration>, faults: Faults) {
    tokio::select! {
        () = log_stats(&stats, every) => {}
        () = faults.strike(Point::Reporter) => {}
    }
}

async fn log_stats(stats: &[Arc<Stats>], every: Option<Duration>) {
    let Some(every) = every else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(every);
    // The first tick comes at once, when there is nothing to report.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        info!("stats {}", Totals::of(stats));
    }
}
