//! The errors of accept(2), after which a listener goes on.

use std::fmt;
use std::io;

use rustix::io::Errno;

use super::reasons;

reasons! {
    /// An error of accept(2) that a listener survives, by its name there. See accept(2), "ERRORS" and "Error handling", and
    /// epoll_ctl(2) for the last one before `other`.
    AcceptError {
        /// The peer had given up before.
        ConnectionAborted = "ECONNABORTED",
        /// A signal came.
        Interrupted = "EINTR",
        /// A firewall forbids it.
        NotPermitted = "EPERM",
        /// A protocol error.
        Protocol = "EPROTO",
        /// A network error of the new socket.
        NetworkDown = "ENETDOWN",
        /// A network error of the new socket.
        NoProtocolOption = "ENOPROTOOPT",
        /// A network error of the new socket.
        HostDown = "EHOSTDOWN",
        /// A network error of the new socket.
        NoNetwork = "ENONET",
        /// A network error of the new socket.
        HostUnreachable = "EHOSTUNREACH",
        /// A network error of the new socket.
        NotSupported = "EOPNOTSUPP",
        /// A network error of the new socket.
        NetworkUnreachable = "ENETUNREACH",
        /// A network error of the new socket.
        TimedOut = "ETIMEDOUT",
        /// The process has no free file descriptor.
        OpenFiles = "EMFILE",
        /// The system has no free file.
        SystemFiles = "ENFILE",
        /// The socket buffers of the system are full.
        NoBuffers = "ENOBUFS",
        /// The system has no memory.
        NoMemory = "ENOMEM",
        /// The user may not watch more files.
        Watches = "ENOSPC",
        /// Any other one.
        Other = "other",
    }
}

impl From<&io::Error> for AcceptError {
    fn from(err: &io::Error) -> Self {
        match Errno::from_io_error(err) {
            Some(Errno::CONNABORTED) => Self::ConnectionAborted,
            Some(Errno::INTR) => Self::Interrupted,
            Some(Errno::PERM) => Self::NotPermitted,
            Some(Errno::PROTO) => Self::Protocol,
            Some(Errno::NETDOWN) => Self::NetworkDown,
            Some(Errno::NOPROTOOPT) => Self::NoProtocolOption,
            Some(Errno::HOSTDOWN) => Self::HostDown,
            Some(Errno::NONET) => Self::NoNetwork,
            Some(Errno::HOSTUNREACH) => Self::HostUnreachable,
            Some(Errno::OPNOTSUPP) => Self::NotSupported,
            Some(Errno::NETUNREACH) => Self::NetworkUnreachable,
            Some(Errno::TIMEDOUT) => Self::TimedOut,
            Some(Errno::MFILE) => Self::OpenFiles,
            Some(Errno::NFILE) => Self::SystemFiles,
            Some(Errno::NOBUFS) => Self::NoBuffers,
            Some(Errno::NOMEM) => Self::NoMemory,
            Some(Errno::NOSPC) => Self::Watches,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_name_of_its_number() {
        for (errno, name) in [(103, "ECONNABORTED"), (24, "EMFILE"), (113, "EHOSTUNREACH"), (104, "other")] {
            assert_eq!(AcceptError::from(&io::Error::from_raw_os_error(errno)).name(), name);
        }
        assert_eq!(AcceptError::from(&io::Error::other("no number")), AcceptError::Other);
    }
}
