//! The stop of the whole tree.

use actix::prelude::*;
use log::debug;
use tokio::time::Instant;

use super::Supervisor;
use super::child::{Ending, State};

/// Stops all children in the reverse order of their start, under one deadline, and forgets them. Neighbours of one kind
/// stop together. Resolves to the ids of those that were killed.
#[derive(Debug, Message)]
#[rtype(result = "Vec<String>")]
pub struct StopAll {
    /// All children have ended by then.
    pub deadline: Instant,
}

impl Handler<StopAll> for Supervisor {
    type Result = ResponseActFuture<Self, Vec<String>>;

    fn handle(&mut self, StopAll { deadline }: StopAll, ctx: &mut Context<Self>) -> Self::Result {
        self.shutting_down = true;
        self.stop_last(deadline, Vec::new(), ctx)
    }
}

impl Supervisor {
    /// Stops the last children, and then the others.
    fn stop_last(
        &mut self,
        deadline: Instant,
        mut killed: Vec<String>,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, Vec<String>> {
        let Some(last) = self.children.last() else { return Box::pin(fut::ready(killed)) };
        let kind = last.spec.kind().to_owned();
        let first =
            self.children.iter().rposition(|child| child.spec.kind() != kind).map_or(0, |index| index + 1);
        let (stop, kill) = share(Instant::now(), deadline);
        (first..self.children.len()).for_each(|index| self.start_once_more(index, ctx));
        let endings = (first..self.children.len()).filter_map(|index| self.stop(index, stop, ctx)).collect();
        Box::pin(all_ended(endings, kill).into_actor(self).then(move |late, this, ctx| {
            // Their start functions release what they own: it is not needed any more.
            this.children.truncate(first);
            killed.extend(late);
            this.stop_last(deadline, killed, ctx)
        }))
    }

    /// Starts a child that waits for its restart, so that it can finish what its last life left.
    fn start_once_more(&mut self, index: usize, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(index) else { return };
        let State::Waiting { timer, gave_up: false } = child.state else { return };
        ctx.cancel_future(timer);
        child.state = State::Down;
        if let Err(exit) = self.try_start(index, ctx) {
            debug!("cannot start a child for its last work: {exit}");
        }
    }
}

/// When a child should have stopped, and when it is killed. A child that does not stop leaves a part of the time to the
/// children after it.
fn share(now: Instant, deadline: Instant) -> (Instant, Instant) {
    let left = deadline.saturating_duration_since(now);
    (now + left * 9 / 10, now + left * 19 / 20)
}

async fn all_ended(endings: Vec<Ending>, deadline: Instant) -> Vec<String> {
    let mut killed = Vec::new();
    for ending in endings {
        killed.extend(ending.by(deadline).await);
    }
    killed
}
