//! Who may connect, and how many at once. Plain values: no socket, no clock, no actor.
//!
//! | file | subject |
//! |---|---|
//! | [`rules`] | lists of `allow` and `deny`, of which the first match decides |
//! | [`permit`] | a bound on what is out at once, given back by `Drop` |
//! | [`source`] | an address, or the network that stands for it |

pub mod permit;
pub mod rules;
pub mod source;

pub use permit::{Permit, Permits};
pub use rules::{BadRule, Rules};
pub use source::Source;
