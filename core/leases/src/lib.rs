//! Consumer groups for hubs that have none: who owns which partition, and how far the group has
//! come in it.
//!
//! Members of a group share its partitions by leases kept in a [`LeaseStore`]: in memory
//! ([`MemoryLeases`]), in a SQLite file for the processes of one machine (`SqliteLeases`, feature
//! `sqlite`), or in an object store with conditional puts for many machines (`ObjectLeases`, feature
//! `object-store`). [`Leases`] is one member, on tokio; [`Groups`] is what an `Admin` sees.
//!
//! - A lease is judged by watching its counter on the observer's own clock; no two clocks are ever
//!   compared. An owner counts from the start of its last good write, an observer from when it saw
//!   the change, and the owner stops a tenth earlier: without a pause no two members may deliver
//!   from one partition, and after a pause nothing is delivered before a fresh renewal (C10). That
//!   holds while clocks differ in rate by less than 5% either way.
//! - Every write is a compare-and-swap. A stale owner's checkpoint is Fenced; within a generation a
//!   checkpoint never goes back, and a seek opens the next generation (C9).
//! - Shares are kept within one of each other by asking: the owner drains, checkpoints and releases.
//!   A live owner is never robbed. One that dies is replaced within its lease and a third.
//! - The children of a resharded partition wait for all their parents to be finished (C11).
//!
//! The algorithm is [`Member`], a state machine without clock, store or I/O of its own, so that it
//! can be simulated: an hour of faults takes milliseconds.

mod clock;
mod group;
mod leases;
pub mod member;
mod options;
mod order;
mod row;
mod scope;
mod store;

pub use clock::{Clock, SystemClock};
pub use group::{Group, Groups};
pub use leases::{Change, Leases};
pub use member::{Grant, Member, NewPartition};
pub use options::Options;
pub use order::natural_order;
pub use row::{Checkpoint, Key, Lease, MemberRow, Row, Stored, Version};
pub use scope::Scope;
#[cfg(feature = "object-store")]
pub use store::ObjectLeases;
#[cfg(feature = "sqlite")]
pub use store::SqliteLeases;
pub use store::{LeaseStore, MemoryLeases, Written};
