//! The subject of a line. It decides which lines are dropped first when the reader of the log is too slow.

use log::{Level, Metadata};

/// Targets whose number of lines depends on the devices: events of sessions, and their data.
const OF_SESSIONS: [&str; 2] = ["trap_server::session", "trap_server::store"];

/// A kind of line with its own share of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// The server itself: start, stop, restarts, outages, counters, sums. Also all errors.
    Server,
    /// Single sessions and frames.
    Sessions,
}

impl Lane {
    /// The lane of a record. A warning of the store is about the server, a warning of a session about a peer.
    pub(super) fn of(record: &Metadata<'_>) -> Self {
        let [session, store] = OF_SESSIONS.map(|target| is_within(record.target(), target));
        match record.level() {
            Level::Error => Self::Server,
            Level::Warn if session => Self::Sessions,
            Level::Info if session || store => Self::Sessions,
            Level::Warn | Level::Info => Self::Server,
            Level::Debug | Level::Trace => Self::Sessions,
        }
    }
}

fn is_within(target: &str, module: &str) -> bool {
    target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_devices_cause_one_by_one_is_a_line_of_sessions() {
        let lane = |level, target| Lane::of(&Metadata::builder().level(level).target(target).build());
        for (level, target) in [
            (Level::Error, "trap_server::session"),
            (Level::Warn, "trap_server::store::sqlite::writer"),
            (Level::Warn, "trap_server::listener::journal"),
            (Level::Info, "trap_server::server"),
            (Level::Info, "trap_server::sessions"),
            (Level::Info, "trap_server"),
        ] {
            assert_eq!(lane(level, target), Lane::Server, "{level} {target}");
        }
        for (level, target) in [
            (Level::Warn, "trap_server::session"),
            (Level::Info, "trap_server::session::guard"),
            (Level::Info, "trap_server::store"),
            (Level::Debug, "trap_server::server"),
        ] {
            assert_eq!(lane(level, target), Lane::Sessions, "{level} {target}");
        }
    }
}
