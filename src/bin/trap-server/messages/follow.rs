//! What comes while one looks on, until nobody looks any more.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};
use trap_server::database::Trouble;

use super::{Messages, Stop};
use crate::output::Stdout;

/// How often it is looked for new messages.
const PAUSE: Duration = Duration::from_millis(200);

/// The other end of standard output.
pub(super) struct Watch {
    pipe: Option<pipe::Sender>,
    runtime: Runtime,
}

impl Watch {
    pub(super) fn new(stdout: &Stdout) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let _inside = runtime.enter();
        // Unchecked leaves it blocking, as whoever shares it expects. A file has no other end, and cannot be watched.
        let pipe = pipe::Sender::from_owned_fd_unchecked(stdout.descriptor()?).ok();
        Ok(Self { pipe, runtime })
    }

    /// Waits a little. Whether somebody still reads then.
    fn pause(&self) -> bool {
        self.runtime.block_on(async {
            match &self.pipe {
                Some(pipe) => timeout(PAUSE, pipe.ready(Interest::ERROR)).await.is_err(),
                None => {
                    sleep(PAUSE).await;
                    true
                }
            }
        })
    }
}

impl Messages<'_> {
    /// Prints messages with the id `next` or a greater one as they come.
    pub(super) fn follow(&mut self, mut next: i64, watch: &Watch) -> Result<(), Stop> {
        while watch.pause() {
            match self.print_new(&mut next) {
                // That passes.
                Err(Stop::Database(err)) if *err.trouble() == Trouble::Locked => {}
                printed => printed?,
            }
            self.reader.check_in_place()?;
        }
        Ok(())
    }

    fn print_new(&mut self, next: &mut i64) -> Result<(), Stop> {
        let mut ids = *next..self.reader.ids()?.end;
        let printed = self.print(&mut ids);
        *next = ids.start;
        printed
    }
}
