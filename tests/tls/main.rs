//! TLS over real sockets, against rustls and against OpenSSL.

mod clients;
mod echo;
mod files;
mod openssl;
mod server;
mod stream;

#[path = "../common/certificates.rs"]
mod certificates;
#[path = "../common/mod.rs"]
mod common;

use common::PATIENCE;
