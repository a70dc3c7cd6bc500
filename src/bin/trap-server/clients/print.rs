//! Printing ids.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::json;
use trap_server::access::Networks;
use trap_server::config::ClientPattern;
use trap_server::credentials::client::Client;
use trap_server::credentials::unknown::Attempt;
use trap_server::database::Timestamp;

use crate::output::Column::Left;
use crate::output::{Column, Field, Record, visible};

fn or_nothing(time: Option<SystemTime>) -> String {
    time.map(stamp).unwrap_or_default()
}

impl Record for Client {
    const TABLE: &'static [Column] =
        &[Left("ID", 24), Left("STATE", 8), Left("EXPIRES", 20), Left("NETWORKS", 18), Left("NOTE", 0)];
    /// The header of an import, which ignores `created_at`.
    const CSV: &'static [&'static str] = &["id", "enabled", "note", "expires_at", "networks", "created_at"];

    fn table(&self) -> Vec<String> {
        let expires_at = self.standing.expires_at;
        let has_expired = expires_at.is_some_and(|at| at <= SystemTime::now());
        let state = match (self.standing.enabled, has_expired) {
            (false, _) => "disabled",
            (true, true) => "expired",
            (true, false) => "enabled",
        };
        let networks = self.standing.networks.to_string();
        vec![visible(&self.id), state.into(), or_nothing(expires_at), visible(&networks), visible(&self.note)]
    }

    fn csv(&self) -> Vec<Field> {
        vec![
            Field::Text(self.id.clone()),
            Field::Plain(self.standing.enabled.to_string()),
            Field::Text(self.note.clone()),
            Field::Plain(or_nothing(self.standing.expires_at)),
            Field::Text(self.standing.networks.to_string()),
            Field::Plain(stamp(self.created_at)),
        ]
    }

    fn json(&self) -> impl Serialize {
        json!({
            "id": self.id,
            "enabled": self.standing.enabled,
            "note": self.note,
            "expires_at": self.standing.expires_at.map(stamp),
            "networks": words(&self.standing.networks),
            "created_at": stamp(self.created_at),
        })
    }
}

impl Record for Attempt {
    const TABLE: &'static [Column] =
        &[Left("LAST", 20), Left("TIMES", 8), Left("REASON", 9), Left("PEER", 21), Left("ID", 0)];
    const CSV: &'static [&'static str] = &["id", "peer", "first_at", "last_at", "times", "reason"];

    fn table(&self) -> Vec<String> {
        let (last, times) = (stamp(self.last_at), self.times.to_string());
        vec![last, times, visible(&self.reason), visible(&self.peer), visible(&self.id)]
    }

    fn csv(&self) -> Vec<Field> {
        vec![
            Field::Text(self.id.clone()),
            Field::Text(self.peer.clone()),
            Field::Plain(stamp(self.first_at)),
            Field::Plain(stamp(self.last_at)),
            Field::Plain(self.times.to_string()),
            Field::Text(self.reason.clone()),
        ]
    }

    fn json(&self) -> impl Serialize {
        json!({
            "id": self.id,
            "peer": self.peer,
            "first_at": stamp(self.first_at),
            "last_at": stamp(self.last_at),
            "times": self.times,
            "reason": self.reason,
        })
    }
}

/// With the source `list`, the patterns of the config.
impl Record for ClientPattern {
    const TABLE: &'static [Column] = &[Left("ID", 0)];
    const CSV: &'static [&'static str] = &["id", "networks"];

    fn table(&self) -> Vec<String> {
        vec![visible(&self.to_string())]
    }

    fn csv(&self) -> Vec<Field> {
        vec![Field::Text(self.ids.to_string()), Field::Text(self.networks.to_string())]
    }

    fn json(&self) -> impl Serialize {
        json!({ "id": self.ids.to_string(), "networks": words(&self.networks) })
    }
}

fn words(networks: &Networks) -> Vec<String> {
    networks.to_string().split_whitespace().map(str::to_owned).collect()
}

fn stamp(time: SystemTime) -> String {
    Timestamp::from(time).seconds().to_string()
}
