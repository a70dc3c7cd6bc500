//! Credentials, through real sockets and the real binary: look-ups, outages, the command beside a running server.
//!
//! | file | subject |
//! |---|---|
//! | `command` | `trap-server clients` |
//! | `import` | csv files |
//! | `changes` | changes while a server runs |
//! | `outage` | a database that fails for a while |
//! | `owner` | commands of root, and a server that is not root |
//! | `networks` | from where an id may come |
//! | `approve` | from the rejected ids to the known ones |
//! | `unknown` | rejected ids |
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
mod owner;
#[cfg(feature = "postgres")]
mod postgres;
mod site;
mod unknown;
