//! The reporter: the line with all counters, and the lines about workers that stand still.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime};

use log::{debug, info, warn};
use tokio::sync::watch;

use super::expiry::{Expiry, days_left};
use super::listeners::Listeners;
use super::stall;
use crate::config::Config;
use crate::faults::{Faults, Point};
use crate::listener::Worker;
use crate::registry::Table;
use crate::session::Holder;
use crate::stats::Board;

/// How often it is time to look at the certificates.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// What the reporter looks at.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) board: Board,
    pub(super) watched: watch::Receiver<Watched>,
    pub(super) workers: Vec<(Worker, Arc<Holder>)>,
    pub(super) table: Table,
    /// The listeners, once they are there.
    pub(super) listeners: Arc<OnceLock<Weak<Listeners>>>,
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
            () = self.watch_certificates() => {}
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
            info!("stats {}{}", self.board.totals(), self.certificate_days());
            for (listener, totals) in self.board.listeners() {
                debug!("stats listener={listener} {totals}");
            }
        }
    }

    async fn watch_certificates(&self) {
        let (mut expiry, mut ticks) = (Expiry::default(), tokio::time::interval(LOOK));
        loop {
            ticks.tick().await;
            let now = SystemTime::now();
            for (listener, file, until) in self.certificates() {
                if let Some(days) = expiry.due(&listener, &file, until, now) {
                    warn!("certificate expires listener={listener} days={days} file={:?}", file.display());
                }
            }
        }
    }

    /// The end of the line, if there are certificates: the whole days until the first one expires.
    fn certificate_days(&self) -> String {
        let first = self.certificates().into_iter().map(|(_, _, until)| until).min();
        let days = first.map(|until| days_left(until, SystemTime::now()));
        days.map_or_else(String::new, |days| format!(" certificate_days={days}"))
    }

    /// The certificates of all listeners, with their files and their ends.
    fn certificates(&self) -> Vec<(String, PathBuf, SystemTime)> {
        let Some(listeners) = self.listeners.get().and_then(Weak::upgrade) else { return Vec::new() };
        let mut all = Vec::new();
        for name in listeners.names() {
            let Some(loaded) = listeners.tls(&name) else { continue };
            let ends = loaded.certificates.iter();
            all.extend(ends.map(|(file, summary)| (name.clone(), file.clone(), summary.until)));
        }
        all
    }
}
