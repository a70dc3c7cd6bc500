//! PUBLISH: data for another client.

use actix::prelude::*;

use super::Session;
use super::context::SessionContext;
use crate::protocol::Kind;

/// A PUBLISH. Delivery is not implemented yet: the answer is `pub_failure` for any recipient.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Publish;

impl Handler<Publish> for Session {
    type Result = ();

    fn handle(&mut self, _: Publish, _: &mut SessionContext) {
        self.refuse(Kind::Publish);
    }
}
