//! The server's binary as a process of its own: its arguments, its exit codes, its signals, its log.

mod child;
mod exhaustion;
mod lifetime;
mod usage;
