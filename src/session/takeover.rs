//! Takeover: a newer session owns the id of this one.

use actix::prelude::*;

use super::context::SessionContext;
use super::{Closing, Session};
use crate::address::Peer;
use crate::stats::Ended;

/// A newer session has the id. The registry has woken this one.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Takeover {
    /// The peer of the newer session.
    pub(super) by: Peer,
}

impl Handler<Takeover> for Session {
    type Result = ();

    /// The session ends without a word. Records that the store does not hold yet are dropped.
    fn handle(&mut self, Takeover { by }: Takeover, _: &mut SessionContext) {
        self.work().batch.clear();
        self.close(Closing::Now, Ended::Takeover, format_args!("by {by}"));
    }
}
