//! Who may connect, and how many at once. Plain values: no socket, no clock, no actor.
//!
//! | file | subject |
//! |---|---|
//! | [`budget`] | a bound on the memory that many share, granted in the order of asking |
//! | [`rules`] | lists of `allow` and `deny`, of which the first match decides |
//! | [`permit`] | a bound on what is out at once, given back by `Drop` |

pub mod budget;
pub mod permit;
pub mod rules;

pub use budget::{Budget, Held, Ticket};
pub use permit::{Permit, Permits};
pub use rules::{BadRule, Rules};
