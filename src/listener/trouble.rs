//! What an error of accept(2) concerns.

use std::io;

use rustix::io::Errno;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    OneConnection,
    Exhausted,
    Listener,
}

impl Trouble {
    /// accept(2), "Error handling": Linux passes the network errors of the new socket on; they are to be treated like
    /// EAGAIN. A firewall's EPERM concerns one connection too.
    pub(super) fn of(err: &io::Error) -> Self {
        match Errno::from_io_error(err) {
            // The last: epoll_ctl(2), the user's limit of watched files, /proc/sys/fs/epoll/max_user_watches.
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC) => {
                Self::Exhausted
            }
            Some(
                Errno::PERM
                | Errno::INTR
                | Errno::AGAIN
                | Errno::NONET
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::OPNOTSUPP
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::TIMEDOUT
                | Errno::CONNREFUSED
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH,
            ) => Self::OneConnection,
            _ => Self::Listener,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_accept_by_what_they_concern() {
        let of = |errno| Trouble::of(&io::Error::from_raw_os_error(errno));
        let one_connection = [1, 4, 11, 64, 71, 92, 95, 100, 101, 103, 104, 110, 111, 112, 113];
        for errno in one_connection {
            assert_eq!(of(errno), Trouble::OneConnection, "{errno}");
        }
        // ENFILE, EMFILE, ENOBUFS, ENOMEM, ENOSPC
        for errno in [23, 24, 105, 12, 28] {
            assert_eq!(of(errno), Trouble::Exhausted, "{errno}");
        }
        // EBADF, EINVAL, ENOTSOCK
        for errno in [9, 22, 88] {
            assert_eq!(of(errno), Trouble::Listener, "{errno}");
        }
    }
}
