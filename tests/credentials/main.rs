//! Who may authenticate, through real sockets and the real binary: look-ups, outages, the command beside a running server.
//!
//! | file | subject |
//! |---|---|
//! | `command` | `trap-server clients` and what it says |
//! | `import` | csv files |
//! | `changes` | what a running server makes of changes |
//! | `outage` | a database that fails for a while |
//! | `networks` | from where an id may come |
//! | `approve` | from the rejected ids to the known ones |
//! | `unknown` | who tried and may not |
//! | `postgres` | the same with PostgreSQL, a server of which `cluster` runs |
//! | `site` | a folder with a config, in which all of it happens |

#[allow(dead_code, reason = "another test uses the rest")]
#[path = "../process/child.rs"]
mod child;

mod approve;
mod changes;
#[cfg(feature = "postgres")]
mod cluster;
mod command;
mod import;
mod networks;
mod outage;
#[cfg(feature = "postgres")]
mod postgres;
mod site;
mod unknown;
