//! What comes while one looks on, until nobody looks any more.

use std::time::Duration;

use trap_server::database::Trouble;

use super::{Interrupted, Messages};

/// How often it is looked for new messages.
const PAUSE: Duration = Duration::from_millis(200);

impl Messages<'_> {
    /// Prints messages with the id `next` or a greater one as they come.
    pub(super) fn follow(&mut self, mut next: i64) -> Result<(), Interrupted> {
        while self.printer.stdout().is_read_after(PAUSE)? {
            match self.print_new(&mut next) {
                // That passes.
                Err(Interrupted::Database(err)) if *err.trouble() == Trouble::Locked => {}
                printed => printed?,
            }
            self.reader.check_in_place()?;
        }
        Ok(())
    }

    fn print_new(&mut self, next: &mut i64) -> Result<(), Interrupted> {
        let mut ids = *next..self.reader.ids()?.end;
        let printed = self.print(&mut ids);
        *next = ids.start;
        printed
    }
}
