//! Who may connect, and how many at once. Plain values: no socket, no clock, no actor.
//!
//! | file | subject |
//! |---|---|
//! | [`budget`] | a bound on the memory that many share, granted in the order of asking |
//! | [`rules`] | lists of `allow` and `deny`, of which the first match decides |
//! | [`permit`] | a bound on what is out at once, given back by `Drop` |
//! | [`places`] | the places of a listener, and how many of them strangers may take |
//! | [`source`] | an address, or the network that stands for it |

pub mod budget;
pub mod permit;
pub mod places;
pub mod rules;
pub mod source;

pub use budget::{Budget, Held, Ticket};
pub use permit::{Permit, Permits};
pub use places::{Place, Places};
pub use rules::{BadRule, Rules};
pub use source::Source;
