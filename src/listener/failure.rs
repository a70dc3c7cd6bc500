//! Why a listening socket could not be opened, and what to do about it.

use std::io;
use std::net::SocketAddr;

/// A listening socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener:?} cannot listen on {address}: {cause}{}", advice(cause))]
pub struct BindError {
    pub(super) listener: String,
    pub(super) address: SocketAddr,
    pub(super) cause: io::Error,
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            ". Another process has it (`ss -ltnp` shows which); end it, or change `bind`"
        }
        io::ErrorKind::PermissionDenied => ". Ports below 1024 need a privilege; change `bind`, or grant it",
        io::ErrorKind::AddrNotAvailable => ". This machine has no such address; change `bind`",
        _ => "",
    }
}
