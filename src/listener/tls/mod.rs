//! TLS by rustls.
//!
//! | file | subject |
//! |---|---|
//! | `files` | certificates, keys, revocation lists: read, or refused with the line and the remedy |
//! | `config` | the config of rustls from them |
//! | `resolver` | the certificate for the name that a client asks for |
//! | `names` | what certificates say: subject, names, times; the id of a client |
//! | `engine` | TLS between slices of bytes |
//! | `stream` | the engine over a socket, with the buffers of its thread |
//! | `handshake` | the handshake, computed in turns |

mod config;
mod engine;
mod files;
mod handshake;
mod names;
mod resolver;
mod stream;

pub use config::{Clients, KeyPair, Loaded, Options, Trust, Version};
pub use files::FileError;
pub use names::{Identity, Summary};
pub use stream::Tls;
