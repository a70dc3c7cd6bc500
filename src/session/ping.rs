//! PING: asks whether the server is alive.

use actix::prelude::*;

use super::Session;
use crate::protocol::Reply;

/// A PING.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Ping;

impl Handler<Ping> for Session {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {
        self.work().answers.word(Reply::Pong);
    }
}
