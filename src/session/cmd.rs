//! CMD_OK and CMD_FAILURE: answers to a command.

use actix::prelude::*;

use super::Session;
use super::context::SessionContext;

/// An answer to a command. The server does not issue commands yet, so there is nothing to answer.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CmdAnswer;

impl Handler<CmdAnswer> for Session {
    type Result = ();

    fn handle(&mut self, _: CmdAnswer, _: &mut SessionContext) {
        self.guard.stats().ignored_answers.one();
    }
}
