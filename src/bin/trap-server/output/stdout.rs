//! Standard output, as every command writes to it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

/// Standard output, without the buffer that Rust puts before it.
pub(crate) struct Stdout(File);

impl Stdout {
    pub(crate) fn open() -> io::Result<Self> {
        io::stdout().as_fd().try_clone_to_owned().map(|output| Self(output.into()))
    }

    /// The same output once more.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
