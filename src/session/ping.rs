//! PING: asks whether the server is alive.

use actix::prelude::*;

use super::Session;
use super::context::SessionContext;
use crate::protocol::Reply;

/// A PING.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Ping;

impl Handler<Ping> for Session {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut SessionContext) {
        self.work().answers.word(Reply::Pong);
    }
}
