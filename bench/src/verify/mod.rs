//! Judges delivery from what was sent and what was received, never from what a client claims.
//!
//! A [`Ledger`] holds both sides of one phase. [`Positions`] watches that no two events share a
//! place in the log, [`Ownership`] that no partition has two owners. [`verdict`] is the one place
//! where the rules stand.
//!
//! Memory, allocated before the phase begins: [`BYTES_PER_EVENT`] for each event and
//! [`BYTES_PER_KEY`] for each key. [`Positions`] adds, for each event received, one bit where positions
//! are offsets, and [`BYTES_PER_FINGERPRINT`] or more as its list grows, at most twice that, where
//! they are sequence numbers.

mod findings;
mod ledger;
mod ownership;
mod positions;
mod verdict;

pub use findings::{Finding, Findings};
pub use ledger::{BYTES_PER_EVENT, BYTES_PER_KEY, Ledger, Outcome, Seen};
pub use ownership::Ownership;
pub use positions::{BYTES_PER_FINGERPRINT, Place, Positions};
pub use verdict::{Guarantee, Promise, verdict};

#[cfg(test)]
mod tests;
