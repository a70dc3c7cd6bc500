//! The trap server: an OTP-style TCP device server on actix.
//!
//! The binary is `bin/trap-server`: arguments, config, log, exit code, commands. All other parts are in this library:
//! for the binary, for tests, and for programs that embed the server ([`server::Server`]), talk to one
//! ([`client::Device`]) or run another protocol on [`listener`] and [`supervisor`], as `examples/echo.rs` does.
//!
//! # The tree
//!
//! ```text
//! Server
//! └─ Supervisor              one_for_one · children at run time · backoff · max_restarts in a window
//!    ├─ Store                supervises the writer thread; the store outlives it
//!    ├─ reporter             a task: the line with all counters, the stall detector
//!    ├─ Registry             decides on ids in use; the table belongs to the start function and outlives the actor
//!    ├─ Sessions             the parent of all sessions: stop, list, close, configure; its own crash ends none
//!    └─ Listener × n         one per [[listener]]; its socket, permits and counters outlive it too
//!       └─ Acceptor × m      one per worker, linked to the listener
//! Session × many             temporary: one per connection, on its acceptor's thread; never restarted
//! ```
//!
//! Children start in this order and stop in reverse, under one deadline. A listener has a restart limit of its own, and
//! gives up alone. Acceptors and sessions live on worker threads, everything else on the thread that calls [`server::Server::start`]. Each worker is an arbiter
//! with one thread. Frames cross threads only on their way to the file: one batch per read, and one answer back.
//!
//! # From OTP to here
//!
//! | OTP | here |
//! |---|---|
//! | `supervisor`, one_for_one, intensity and period | [`supervisor::Supervisor`], [`supervisor::Intensity`]; and a backoff between restarts |
//! | `child_spec()`: id, start, permanent, transient, temporary | [`supervisor::ChildSpec`], [`supervisor::Restart`] |
//! | link and monitor | [`supervisor::Link`]: the child's task; its owner learns of its end |
//! | a registered name | [`supervisor::Name`]: resolves to the current incarnation |
//! | `exit(Reason)` | [`supervisor::exit`] |
//! | `supervisor:start_child`, `terminate_child`, `delete_child`, `restart_child`, `which_children` | the messages [`supervisor::StartChild`], [`supervisor::TerminateChild`], [`supervisor::DeleteChild`], [`supervisor::RestartChild`], [`supervisor::WhichChildren`] |
//! | a child is any process | a child is an actor or a plain future: [`supervisor::Started`] |
//! | the end of a supervisor | [`supervisor::StopAll`] |
//! | `ranch_conns_sup` | [`session::Sessions`] |
//! | a listener and its acceptor pool | [`listener::Listener`] |
//! | the `{M, F, A}` with which a listener starts a connection | [`listener::StartSession`] |
//! | a gen_server per connection; `cast(self(), ping)` and `handle_cast` | [`session::Session`]; one message and one `Handler` for each frame, called by the session itself. It has no mailbox: what others ask of it is state and a wake-up, see [`session`] |
//! | `erlang:send_after(…, wait_for_auth)` and `handle_info` | the message `WaitForAuth`, from the session's one timer |
//! | `{active, once}` | a session is read only while it has room for unanswered data |
//! | a public ETS table, owned by the supervisor's process | [`registry::Table`]; [`registry::Registry`] decides on ids that are in use |
//!
//! # The modules
//!
//! A module may use the modules of the rows above its own, and its own children, nothing else of the crate. So the
//! protocol has no sockets, a listener has no sessions, and modules without an actor do not use actix.
//!
//! | row | module | subject | actix |
//! |---|---|---|---|
//! | 1 | [`protocol`] | frames and words, decoded and encoded; pure | |
//! | | [`access`] | limits on connections: addresses, numbers, memory; pure | |
//! | | [`address`] | where a listener listens, and where a peer comes from | |
//! | | [`stats`] | counters by listener and worker, and the closed lists of reasons | |
//! | | [`faults`] | faults on demand for tests; empty without the feature of this name | |
//! | | [`logging`] | logs that never hold up a worker | |
//! | | [`when`] | times and durations as people write them | |
//! | 2 | [`config`] | `config.toml`, typed and valid | |
//! | | [`database`] | the SQLite file: creation, migration, opening | |
//! | | [`supervisor`] | restarts children after any kind of end; uses [`logging`] alone | yes |
//! | 3 | [`listener`] | sockets, acceptors, admission | yes |
//! | | [`credentials`] | the ids that may authenticate | |
//! | | [`registry`] | the connected ids | yes |
//! | | [`store`] | the destination of data | yes |
//! | 4 | [`session`] | an actor per connection, which speaks the protocol | yes |
//! | 5 | [`server`] | the tree from a config, and its graceful shutdown | yes |
//! | | [`client`] | the device's side; uses [`protocol`] alone | |
//!
//! Panics must unwind, otherwise supervision is impossible: this does not compile under `panic = "abort"`.

#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

#[cfg(panic = "abort")]
compile_error!("supervision needs unwinding panics: remove `panic = \"abort\"` from the profile");

pub mod access;
pub mod address;
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
pub mod store;
pub mod supervisor;
pub mod when;

/// The examples of the README, so that they compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
