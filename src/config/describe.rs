//! A config as `--check` prints it: what it means on this machine, one setting per line.

use std::fmt::{self, Display};
use std::time::Duration;

use bytesize::ByteSize;

use super::{
    ClientPattern, Config, Credentials, Duplicate, Listener, Session, Source, Store, StoreKind, Synchronous,
};
use crate::when::show;

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "server")?;
        line(f, "workers", self.server.workers)?;
        line(f, "shutdown", show(self.server.shutdown))?;
        line(f, "max_unanswered", ByteSize(self.server.max_unanswered as u64))?;
        writeln!(f, "supervisor")?;
        line(f, "max_restarts", self.supervisor.max_restarts)?;
        line(f, "within", show(self.supervisor.within))?;
        line(f, "max_backoff", show(self.supervisor.max_backoff))?;
        for listener in &self.listeners {
            write!(f, "{listener}")?;
        }
        write!(f, "{}{}{}", self.session, self.credentials, self.store)?;
        writeln!(f, "log")?;
        line(f, "level", self.log.level.as_str().to_ascii_lowercase())?;
        line(f, "stats_every", OrOff(self.log.stats_every))
    }
}

impl Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "listener {}", self.name)?;
        line(f, "bind", self.bind)?;
        line(f, "acceptors", self.acceptors)?;
        line(f, "max_connections", self.max_connections)?;
        line(f, "max_unauthenticated", self.max_unauthenticated)?;
        line(f, "backlog", self.backlog)?;
        line(f, "nodelay", if self.nodelay { "on" } else { "off" })?;
        line(f, "keepalive", OrOff(self.keepalive))?;
        line(f, "access", &self.access)
    }
}

impl Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "session")?;
        line(f, "auth_timeout", show(self.auth_timeout))?;
        line(f, "frame_timeout", show(self.frame_timeout))?;
        line(f, "write_timeout", show(self.write_timeout))?;
        line(f, "idle_timeout", OrOff(self.idle_timeout))?;
        line(f, "max_frame", format_args!("{} bytes", self.max_frame))?;
        line(f, "max_unanswered", ByteSize(self.max_unanswered as u64))?;
        line(f, "duplicate", self.duplicate)
    }
}

/// Without what the source has no use for.
impl Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "credentials")?;
        line(f, "source", self.source)?;
        if self.source == Source::List {
            let clients: Vec<String> = self.clients.iter().map(ClientPattern::to_string).collect();
            line(f, "clients", if clients.is_empty() { "nobody".into() } else { clients.join(", ") })?;
        } else {
            line(f, "timeout", show(self.timeout))?;
            line(f, "cache_time", OrOff(self.cache_time))?;
            line(f, "outage_grace", OrOff(self.outage_grace))?;
            line(f, "cache_size", self.cache_size)?;
        }
        if self.source == Source::Postgres {
            line(f, "url", &self.url)?;
        }
        line(f, "max_unknown", self.max_unknown)
    }
}

/// Without what the store has no use for.
impl Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "store")?;
        line(f, "kind", self.kind)?;
        line(f, "path", self.path.display())?;
        if self.kind == StoreKind::Sqlite {
            line(f, "segment_size", ByteSize(self.segment_size))?;
            line(f, "synchronous", self.synchronous)?;
            line(f, "batch_records", self.batch_records)?;
            line(f, "batch_bytes", ByteSize(self.batch_bytes as u64))?;
            line(f, "batch_time", show(self.batch_time))?;
            line(f, "lock_timeout", show(self.lock_timeout))?;
            line(f, "max_age", OrOff(self.max_age))?;
            match self.max_size {
                Some(size) => line(f, "max_size", ByteSize(size))?,
                None => line(f, "max_size", "off")?,
            }
        }
        Ok(())
    }
}

/// As the file writes it.
impl Display for ClientPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(id) => write!(f, "{id}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// As the file writes it.
impl Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Takeover => "takeover",
            Self::Reject => "reject",
        })
    }
}

/// As the file writes it.
impl Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "log",
            Self::Sqlite => "sqlite",
        })
    }
}

/// As the file writes it.
impl Display for Synchronous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Normal => "normal",
        })
    }
}

/// As the file writes it.
impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

struct OrOff(Option<Duration>);

impl Display for OrOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{}", show(time)),
            None => f.write_str("off"),
        }
    }
}

fn line(f: &mut fmt::Formatter<'_>, key: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "  {key:<20}{value}")
}
