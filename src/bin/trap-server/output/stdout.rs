//! Standard output, used by every command.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};

/// Standard output without Rust's buffer.
///
/// Another process, such as a parent on Node.js, may have made it non-blocking: then a write waits for room.
pub(crate) struct Stdout(File);

impl Stdout {
    pub(crate) fn open() -> io::Result<Self> {
        io::stdout().as_fd().try_clone_to_owned().map(|output| Self(output.into()))
    }

    /// Waits for this time, or until the reader closes. Returns whether there is still a reader. A file has no
    /// reader, and counts as open.
    pub(crate) fn is_read_after(&self, pause: Duration) -> io::Result<bool> {
        let pause = Timespec::try_from(pause).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.0, PollFlags::empty())], Some(&pause)) {
            Ok(gone) => Ok(gone == 0),
            Err(Errno::INTR) => Ok(true),
            Err(err) => Err(err.into()),
        }
    }

    fn wait_for_room(&self) -> io::Result<()> {
        retry_on_intr(|| poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None))?;
        Ok(())
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(err) if err.kind() == ErrorKind::WouldBlock => self.wait_for_room()?,
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
