//! A row of a database of ids.

use std::net::IpAddr;
use std::time::SystemTime;

use super::Denied;
use crate::access::Networks;
use crate::database::Timestamp;

/// An id with all columns of its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The id. It may be invalid: a database can be changed by hand.
    pub id: String,
    /// Whether, until when and from where it may authenticate.
    pub standing: Standing,
    /// The operator's note.
    pub note: String,
    /// When the row was created.
    pub created_at: SystemTime,
}

/// Whether, until when and from where an id may authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it may authenticate before it expires.
    pub enabled: bool,
    /// The time from which on it is rejected.
    pub expires_at: Option<SystemTime>,
    /// The networks from which it may come.
    pub networks: Networks,
}

impl Standing {
    /// Whether the id may authenticate at `now`, from `peer`.
    pub fn check(&self, now: SystemTime, peer: IpAddr) -> Result<(), Denied> {
        match self.expires_at {
            _ if !self.enabled => Err(Denied::Disabled),
            Some(at) if at <= now => Err(Denied::Expired { at: Timestamp::from(at).seconds().to_string() }),
            _ if !self.networks.admit(peer) => Err(Denied::Elsewhere),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_id_is_accepted_while_it_is_enabled_and_not_expired_from_its_networks() {
        let (at, second) = (SystemTime::from(Timestamp(1_798_675_200_000_000)), Duration::from_secs(1));
        let peer = IpAddr::from([192, 0, 2, 7]);
        let standing = Standing { enabled: true, expires_at: Some(at), networks: Networks::Any };
        let disabled = Standing { enabled: false, ..standing.clone() };
        assert_eq!(standing.check(at - second, peer), Ok(()));
        assert_eq!(standing.check(at, peer), Err(Denied::Expired { at: "2026-12-31T00:00:00Z".into() }));
        assert_eq!(disabled.check(at - second, peer), Err(Denied::Disabled));
        let bound = Standing { expires_at: None, networks: "192.0.2.0/24".parse().unwrap(), ..standing };
        assert_eq!(bound.check(at, peer), Ok(()));
        assert_eq!(bound.check(at, [192, 0, 3, 7].into()), Err(Denied::Elsewhere));
    }
}
