//! New messages, until the output is closed.

use std::time::Duration;

use trap_server::database::Trouble;

use super::{Interrupted, Messages};

/// The interval between two looks for new messages.
const PAUSE: Duration = Duration::from_millis(200);

impl Messages {
    /// Prints messages as they arrive, whether or not a server runs.
    pub(super) fn follow(&mut self) -> Result<(), Interrupted> {
        while self.printer.stdout().is_read_after(PAUSE)? {
            match self.print_new() {
                // A lock is temporary.
                Err(Interrupted::Database(err)) if *err.trouble() == Trouble::Locked => {}
                printed => printed?,
            }
        }
        Ok(())
    }

    fn print_new(&mut self) -> Result<(), Interrupted> {
        self.reader.look_again()?;
        self.print(true)
    }
}
