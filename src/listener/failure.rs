//! Why a listening socket could not be opened, and what to do about it.

use std::io;
use std::net::SocketAddr;

use super::options::Options;
use crate::address::Address;

/// A listening socket could not be opened, or does not take an option.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener:?} cannot listen on {address}: {cause}{}", advice(cause, address))]
pub struct BindError {
    listener: String,
    address: Address,
    cause: io::Error,
}

impl BindError {
    pub(super) fn new(options: &Options, cause: io::Error) -> Self {
        Self { listener: options.name.clone(), address: options.bind.clone(), cause }
    }

    /// Whether another socket has the address.
    pub fn is_in_use(&self) -> bool {
        self.cause.kind() == io::ErrorKind::AddrInUse
    }

    /// The name of the listener.
    pub fn listener(&self) -> &str {
        &self.listener
    }
}

fn advice(cause: &io::Error, address: &Address) -> &'static str {
    match address {
        Address::Ip(address) => advice_on_port(cause, address),
        Address::Unix(_) => advice_on_path(cause),
    }
}

fn advice_on_path(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            ". A server listens there (`ss -lxp` shows which); end it, or change `bind`"
        }
        io::ErrorKind::NotFound => ". The folder does not exist; create it, or change `bind`",
        io::ErrorKind::PermissionDenied => {
            ". The server may not create a file there; change `bind`, or the permissions of the folder"
        }
        _ => "",
    }
}

fn advice_on_port(cause: &io::Error, address: &SocketAddr) -> &'static str {
    // These have no kinds.
    const ENODEV: i32 = 19;
    const EAFNOSUPPORT: i32 = 97;
    match (cause.kind(), cause.raw_os_error()) {
        (io::ErrorKind::AddrInUse, _) => {
            ". Another process has it (`ss -ltnp` shows which); end it, or change `bind`"
        }
        (io::ErrorKind::PermissionDenied, _) => {
            ". Ports below 1024 need a privilege; change `bind`, or grant it"
        }
        (io::ErrorKind::AddrNotAvailable, _) if address.is_ipv6() => {
            ". This machine has no such address, or IPv6 is disabled; change `bind`"
        }
        (io::ErrorKind::AddrNotAvailable, _) => ". This machine has no such address; change `bind`",
        (io::ErrorKind::InvalidInput, _) if needs_zone(address) => {
            ". A link-local address needs a zone, the interface that it belongs to, such as [fe80::1%eth0]:5000"
        }
        (_, Some(ENODEV)) => {
            ". This machine has no interface of this zone (`ip link` lists them); change `bind`"
        }
        (_, Some(EAFNOSUPPORT)) => {
            ". IPv6 is disabled on this machine; enable it, or give `bind` an IPv4 address such as 0.0.0.0:5000"
        }
        _ => "",
    }
}

fn needs_zone(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_fits_the_error_and_the_address() {
        for (errno, address, expected) in [
            (97, "[::]:5000", "IPv6 is disabled on this machine"),
            (19, "[fe80::1%9]:5000", "no interface of this zone"),
            (22, "[fe80::1]:5000", "needs a zone"),
            (99, "[fd00::1]:5000", "no such address, or IPv6 is disabled"),
            (99, "192.0.2.1:5000", "no such address; change"),
            (98, "0.0.0.0:5000", "Another process has it"),
            (13, "0.0.0.0:80", "need a privilege"),
        ] {
            let options = Options::new("trap", address.parse::<SocketAddr>().unwrap());
            let text = BindError::new(&options, io::Error::from_raw_os_error(errno)).to_string();
            assert!(text.contains(expected), "{text}");
        }
        for (errno, expected) in [(98, "A server listens there"), (2, "The folder does not exist")] {
            let options = Options::new("trap", Address::Unix("run/trap.sock".into()));
            let text = BindError::new(&options, io::Error::from_raw_os_error(errno)).to_string();
            assert!(text.contains("unix:run/trap.sock") && text.contains(expected), "{text}");
        }
    }
}
