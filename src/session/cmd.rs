//! CMD_OK and CMD_FAILURE: a command was answered.

use actix::prelude::*;

use super::Session;

/// An answer to a command. No command is issued yet, so it answers none.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CmdAnswer;

impl Handler<CmdAnswer> for Session {
    type Result = ();

    fn handle(&mut self, _: CmdAnswer, _: &mut Context<Self>) {
        self.host().setup.stats.ignored_answers.one();
    }
}
