//! TLS over real sockets, against rustls and against OpenSSL.

mod clients;
mod echo;
mod files;
mod openssl;
mod stream;

#[path = "../common/certificates.rs"]
mod certificates;

use std::time::Duration;

/// Much longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);
