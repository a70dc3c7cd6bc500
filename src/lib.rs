//! The trap server.

#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

pub mod access;
pub mod client;
pub mod config;
pub mod credentials;
pub mod faults;
pub mod listener;
pub mod logging;
pub mod protocol;
pub mod registry;
pub mod server;
pub mod session;
pub mod stats;
pub mod supervisor;
pub mod uplink;
