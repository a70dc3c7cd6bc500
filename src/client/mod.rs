//! A client of the trap protocol: what a device does, as calls. It knows the [protocol](crate::protocol) and nothing of
//! the server.
//!
//! | file | subject |
//! |---|---|
//! | [`device`] | a connection, one call per frame, and pipelining |
//! | `incoming` | what the server sends: words and events |
//! | `error` | why a call failed |
//! | `stream` | TCP, TLS or a Unix socket |
//! | `tls` | trust in servers, and the device's own certificate |
//! | `wire` | the bytes in both directions, and their bounds |
//!
//! The conversation of the original client:
//!
//! ```no_run
//! # async fn conversation() -> Result<(), trap_server::client::Error> {
//! use trap_server::client::Device;
//!
//! let mut device = Device::connect("127.0.0.1:5000").await?;
//! device.auth("client0012").await?;
//! device.send(b"hello").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Frames can go out before the answers to earlier ones have come, and events can be read as they come:
//!
//! ```no_run
//! # async fn pipelined() -> Result<(), trap_server::client::Error> {
//! use std::time::Duration;
//! use trap_server::client::{Device, Event, Incoming};
//! use trap_server::protocol::{Frame, Id};
//!
//! let mut device = Device::connect(("localhost", 5000)).await?.with_deadline(Duration::from_secs(60));
//! device.auth("client0012").await?;
//! device.write(&Frame::Ping).await?;
//! let client = Id::try_from("client0013")?;
//! device.write(&Frame::Publish { client, data: b"news" }).await?;
//! while let Some(incoming) = device.next().await? {
//!     match incoming {
//!         Incoming::Reply(word) => println!("{word}"),
//!         Incoming::Event(Event::Publish { from, data }) => println!("{from} says {data:?}"),
//!         Incoming::Event(Event::Command { id, data }) => device.command_ok(&id, &data).await?,
//!     }
//! }
//! # Ok(())
//! # }
//! ```

pub mod device;
mod error;
mod incoming;
mod stream;
mod tls;
mod wire;

pub use device::Device;
pub use error::Error;
pub use incoming::{Event, Incoming};
pub use stream::Stream;
pub use tls::{Certificate, Tls, TlsError, Trust};
