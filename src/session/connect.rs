//! CONNECT: asks whether the server accepts sessions.

use actix::prelude::*;

use super::Session;
use super::context::SessionContext;
use crate::protocol::Reply;

/// A CONNECT.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Connect;

impl Handler<Connect> for Session {
    type Result = ();

    fn handle(&mut self, _: Connect, _: &mut SessionContext) {
        let is_closed = self.host().stopping() || self.host().drain.is_on();
        let reply = if is_closed { Reply::ConnectFailure } else { Reply::ConnectOk };
        self.work().answers.word(reply);
    }
}
