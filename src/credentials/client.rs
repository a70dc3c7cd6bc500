//! A row of a database of ids.

use std::time::SystemTime;

use super::Denied;
use crate::database::Timestamp;

/// An id with all columns of its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The id. It may be invalid: a database can be changed by hand.
    pub id: String,
    /// Whether and until when it may authenticate.
    pub standing: Standing,
    /// The operator's note.
    pub note: String,
    /// When the row was created.
    pub created_at: SystemTime,
}

/// Whether and until when an id may authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it may authenticate before it expires.
    pub enabled: bool,
    /// The time from which on it is rejected.
    pub expires_at: Option<SystemTime>,
}

impl Standing {
    /// Whether the id may authenticate at `now`.
    pub fn check(&self, now: SystemTime) -> Result<(), Denied> {
        match self.expires_at {
            _ if !self.enabled => Err(Denied::Disabled),
            Some(at) if at <= now => Err(Denied::Expired { at: Timestamp::from(at).seconds().to_string() }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_id_is_accepted_while_it_is_enabled_and_not_expired() {
        let (at, second) = (SystemTime::from(Timestamp(1_798_675_200_000_000)), Duration::from_secs(1));
        let check = |enabled, now| Standing { enabled, expires_at: Some(at) }.check(now);
        assert_eq!(check(true, at - second), Ok(()));
        assert_eq!(check(true, at), Err(Denied::Expired { at: "2026-12-31T00:00:00Z".into() }));
        assert_eq!(check(false, at - second), Err(Denied::Disabled));
        assert_eq!(Standing { enabled: true, expires_at: None }.check(at), Ok(()));
    }
}
