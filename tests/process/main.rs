//! The server's binary as a process of its own: its arguments, its exit codes, its signals, its log, its commands.

mod backup;
mod child;
mod exhaustion;
mod follow;
mod lifetime;
mod messages;
mod million;
mod reload;
mod segments;
mod store;
mod usage;
