//! What the protocol promises, through real sockets.
//!
//! | file | subject |
//! |---|---|
//! | `conversation` | the conversation of the original client |
//! | `scenario` | frames and their answers as a table, and every way to cut them |
//! | `frames` `mistakes` | the tables: valid and invalid frames of a device |
//! | `large` | data up to the limit, kept and not kept |
//! | `registry` | two sessions of one id |
//! | `order` | answers when the store or the look-up takes its time |
//! | `pressure` | a device that sends more than is answered |
//! | `drain` | a server that stops |

#[path = "../common/mod.rs"]
mod common;

mod conversation;
mod drain;
mod frames;
mod large;
mod mistakes;
mod order;
mod pressure;
mod registry;
mod scenario;

/// The id of the original client.
const ID: &str = "client0012";
