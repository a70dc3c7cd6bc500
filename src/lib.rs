//! The trap server: an OTP-style TCP device server on actix.
//!
//! The binary is `bin/trap-server`: arguments, config, log, exit code, commands. Everything else is here, for the binary, for tests, and for
//! whoever embeds the server ([`server::Server`]), talks to one ([`client::Device`]) or puts a protocol of their own on
//! [`listener`] and [`supervisor`], as `examples/echo.rs` does.
//!
//! # The tree
//!
//! ```text
//! Server
//! └─ Supervisor              one_for_one · permanent children · max_restarts in a window
//!    ├─ Uplink               watches over the thread that writes; the store outlives it
//!    ├─ Registry             decides who has an id; the table belongs to the start function and outlives the actor
//!    └─ Listener × n         one per [[listener]]; its socket, permits and counters outlive it too
//!       └─ Acceptor × m      one per worker, linked to the listener
//! Session × many             temporary: one per connection, on its acceptor's thread; never restarted
//! ```
//!
//! Children start in this order and stop in the reverse one, the sessions after the listeners. Everything but acceptors and
//! sessions lives on the thread that calls [`server::Server::start`]; each worker is an arbiter, one thread. On the way of a
//! frame nothing crosses threads but what goes to the file: one batch for each read there, one answer for it back.
//!
//! # From OTP to here
//!
//! | OTP | here |
//! |---|---|
//! | `supervisor`, one_for_one, intensity and period | [`supervisor::Supervisor`], [`supervisor::Intensity`] |
//! | link and monitor | [`supervisor::Link`]: the child's task, held by whoever must know of its end |
//! | a registered name | [`supervisor::Name`]: resolves to the present incarnation |
//! | `exit(Reason)` | [`supervisor::exit`] |
//! | `supervisor:terminate_child` | [`supervisor::Terminate`] |
//! | a listener and its acceptor pool | [`listener::Listener`] |
//! | the `{M, F, A}` that a listener starts a connection with | [`listener::StartSession`] |
//! | a gen_server per connection; `cast(self(), ping)` and `handle_cast` | [`session::Session`]; one message and one `Handler` for each frame, called by the session itself |
//! | `erlang:send_after(…, wait_for_auth)` and `handle_info` | the message `WaitForAuth`, from the session's one timer |
//! | `{active, once}` | a session is read only while it has room for what is unanswered |
//! | a public ETS table, owned by the supervisor's process | [`registry::Table`], with [`registry::Registry`] to decide of ids that are held |
//!
//! # The modules
//!
//! A module may use those of the rows above its own and its own children, nothing else of the crate. So the protocol knows
//! no socket, a listener knows no session, and what is no actor does not know actix.
//!
//! | row | module | subject | actix |
//! |---|---|---|---|
//! | 1 | [`protocol`] | frames and words, from bytes and into bytes; pure | |
//! | | [`access`] | who may connect, and how many at once; pure | |
//! | | [`stats`] | counters, and the two closed lists of reasons | |
//! | | [`faults`] | faults on demand for tests; empty without the feature of this name | |
//! | | [`logging`] | logs that never hold up a worker | |
//! | | [`when`] | times and durations as people write them | |
//! | 2 | [`config`] | `config.toml`, typed and valid | |
//! | | [`database`] | the SQLite file: made, migrated, opened | |
//! | | [`supervisor`] | restarts what ends, whatever ended it; uses nothing of the crate | yes |
//! | 3 | [`listener`] | sockets, acceptors, admission | yes |
//! | | [`credentials`] | who may authenticate | |
//! | | [`registry`] | who is connected | yes |
//! | | [`uplink`] | where data goes | yes |
//! | 4 | [`session`] | an actor per connection, which speaks the protocol | yes |
//! | 5 | [`server`] | the tree from a config, and its orderly stop | yes |
//! | | [`client`] | the device's side; uses [`protocol`] alone | |
//!
//! A panic must unwind, or there is nothing to supervise: under `panic = "abort"` this does not compile.

#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

#[cfg(panic = "abort")]
compile_error!("supervision needs panics that unwind: remove `panic = \"abort\"` from the profile");

pub mod access;
pub mod client;
pub mod config;
pub mod credentials;
pub mod database;
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
pub mod when;

/// The examples of the README, so that they compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
