//! Limits on connections: addresses, numbers, rates and memory. Plain values: no socket, no clock, no actor.
//!
//! | file | subject |
//! |---|---|
//! | [`budget`] | a shared memory budget, granted in the order of requests |
//! | [`pace`] | bytes and messages per second of one session, which delay its reads |
//! | [`rules`] | lists of `allow` and `deny`; the first match decides |
//! | [`permit`] | a counting limit; `Drop` releases a permit |
//! | [`places`] | the places of a listener, and the limit on strangers among them |
//! | [`source`] | an address, or the network that it belongs to |

pub mod budget;
pub mod pace;
pub mod permit;
pub mod places;
pub mod rules;
pub mod source;
#[cfg(test)]
pub(crate) mod woken;

pub use budget::{Budget, Held, Ticket};
pub use pace::{Pace, PaceLimits};
pub use permit::{Permit, Permits};
pub use places::{Place, Places};
pub use rules::{BadRule, Rules};
pub use source::Source;
