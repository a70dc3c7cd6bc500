//! Limits on connections: addresses, numbers, rates and memory. Plain values: no socket, no clock, no actor.
//!
//! | file | subject |
//! |---|---|
//! | [`bucket`] | a token bucket, the arithmetic of [`rate`] |
//! | [`budget`] | a shared memory budget, granted in the order of requests |
//! | [`networks`] | networks that a peer must be in |
//! | [`even`] | numbers that are spread evenly |
//! | [`pace`] | bytes and messages per second of one session, which delay its reads |
//! | [`rate`] | connections per second, shared by listeners |
//! | [`rules`] | lists of `allow` and `deny`; the first match decides |
//! | [`permit`] | a counting limit; `Drop` releases a permit |
//! | [`places`] | the places of a listener, and the limit on strangers among them |
//! | [`source`] | an address, or the network that it belongs to |
//! | [`sources`] | limits per source: open connections, connections per second |

pub mod bucket;
pub mod budget;
mod epoch;
pub mod even;
pub mod networks;
pub mod pace;
pub mod permit;
pub mod places;
pub mod rate;
pub mod rules;
pub mod source;
pub mod sources;
#[cfg(test)]
pub(crate) mod woken;

pub use bucket::RateLimit;
pub use budget::{Budget, Held, Ticket};
pub use even::Even;
pub use networks::{BadNetwork, Networks, parse_network};
pub use pace::{Pace, PaceLimits};
pub use permit::{Permit, Permits};
pub use places::{Place, Places};
pub use rate::{Excess, Rate, Turn};
pub use rules::{BadRule, Rules};
pub use source::Source;
pub use sources::{Refusal, Sources, Visit};
