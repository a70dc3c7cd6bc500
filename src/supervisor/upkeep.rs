//! A child whose work is in the background, on threads of its own.

use std::future::Future;
use std::pin::Pin;

use actix::prelude::*;

use super::exit::exit;
use super::started::Stop;

/// Background work. Resolves when it has ended, as requested or by a fault.
pub type Work = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// Something that works in the background. It outlives its work: jobs that arrive during a restart wait in it.
pub trait Background: 'static {
    /// Starts the work. Only one runs at a time: after a fault, the next is started. `None` if there is nothing to do.
    fn work(&self) -> Option<Work>;

    /// No more jobs follow: pending ones must be finished, then the work must end.
    fn finish(&self);
}

/// The actor of background work: it ends when the work does.
pub struct Upkeep<B: Background> {
    background: B,
    has_work: bool,
    beside: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<B: Background> Upkeep<B> {
    /// Makes the actor. The future `beside` is for injected faults.
    pub fn new(background: B, beside: impl Future<Output = ()> + 'static) -> Self {
        Self { background, has_work: false, beside: Some(Box::pin(beside)) }
    }
}

impl<B: Background + Unpin> Actor for Upkeep<B> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(work) = self.background.work() {
            // Linked: the actor ends when its work ends.
            ctx.spawn(work.into_actor(self).map(|end, _, ctx| match end {
                Ok(()) => ctx.stop(),
                Err(reason) => exit(reason),
            }));
            self.has_work = true;
        }
        if let Some(beside) = self.beside.take() {
            ctx.spawn(beside.into_actor(self));
        }
    }
}

impl<B: Background + Unpin> Handler<Stop> for Upkeep<B> {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        self.background.finish();
        if !self.has_work {
            ctx.stop();
        }
    }
}
