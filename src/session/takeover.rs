//! Takeover: a newer session owns the id of this one.

use actix::prelude::*;

use super::{Closing, Session};
use crate::registry::Kick;
use crate::stats::Ended;

impl Handler<Kick> for Session {
    type Result = ();

    /// The session is told nothing. What the store does not hold yet is dropped.
    fn handle(&mut self, Kick { by }: Kick, _: &mut Context<Self>) {
        self.work().batch.clear();
        self.close(Closing::Now, Ended::Takeover, format_args!("by {by}"));
    }
}
