//! The trap protocol: bytes in, values out. No socket, no clock, no actor.
//!
//! | file | subject |
//! |---|---|
//! | [`frame`] | binary frames |
//! | [`id`] | the client and command ids in it |
//! | [`malformed`] | why bytes are not a frame |
//! | [`reply`] | the words with which the server answers |
//! | [`codec`] | decoding and encoding of both |
//!
#![doc = include_str!("PROTOCOL.md")]

pub mod codec;
pub mod frame;
pub mod id;
pub mod malformed;
pub mod reply;

pub use codec::{Answer, Decoded};
pub use frame::{Frame, Kind, Mode};
pub use id::{BadClientId, ClientId, Id};
pub use malformed::{Malformed, NotAFrame};
pub use reply::Reply;

/// Maximum data bytes of a frame: `data_len` has 16 bits.
pub const MAX_DATA: usize = u16::MAX as usize;

/// Maximum bytes of a client or command id: `id_len` has 8 bits.
pub const MAX_ID: usize = u8::MAX as usize;
