//! The end of the wait for an AUTH.

use actix::prelude::*;

use super::Session;
use crate::protocol::Reply;
use crate::stats::Ended;

/// The auth timeout is over, and no AUTH was complete.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct WaitForAuth;

impl Handler<WaitForAuth> for Session {
    type Result = ();

    fn handle(&mut self, _: WaitForAuth, _: &mut Context<Self>) {
        self.close_with(Reply::AuthFailure, Ended::AuthTimeout, "no AUTH in time");
    }
}
