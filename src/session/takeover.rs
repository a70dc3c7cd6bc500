//! Takeover: a newer session owns the id of this one.

use std::net::SocketAddr;

use actix::prelude::*;

use super::{Closing, Session};
use crate::registry::Kick;
use crate::stats::Ended;

impl Handler<Kick> for Session {
    type Result = ();

    fn handle(&mut self, Kick { by }: Kick, _: &mut Context<Self>) {
        self.taken_over(by);
    }
}

impl Session {
    /// Ends the session without a word. Records that are not in the store yet are dropped.
    pub(super) fn taken_over(&mut self, by: SocketAddr) {
        self.work().batch.clear();
        self.close(Closing::Now, Ended::Takeover, format_args!("by {by}"));
    }
}
