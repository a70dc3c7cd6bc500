//! The end of the auth timeout.

use actix::prelude::*;

use super::Session;
use super::context::SessionContext;
use crate::protocol::Reply;
use crate::stats::Ended;

/// The auth timeout expired without a complete AUTH.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct WaitForAuth;

impl Handler<WaitForAuth> for Session {
    type Result = ();

    fn handle(&mut self, _: WaitForAuth, _: &mut SessionContext) {
        self.close_with(Reply::AuthFailure, Ended::AuthTimeout, "no AUTH in time");
    }
}
