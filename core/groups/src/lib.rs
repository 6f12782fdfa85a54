//! The consumer of hubs that keep logs and have no groups of their own, or none that say who reads
//! what: Kinesis and Event Hubs.
//!
//! A backend implements [`Log`]: which partitions there are, where a point is in them, and how one is
//! read. [`GroupedConsumer`] is made of that: it shares the partitions with the other members of its group
//! by leases ([`anyhub_leases`]), reads them ahead, hands out, takes nacks back, commits, and gives up what
//! others ask for. Without a group it reads all of them. [`Leasing`] says where groups are kept, and
//! [`StoredGroups`] is what an `Admin` sees of them.

mod arrivals;
mod attend;
mod backlog;
mod consumer;
mod error;
mod group;
mod keeper;
mod leases_in;
mod leasing;
mod lineage;
mod log;
mod parting;
mod resume;
mod seek;
mod shared;
mod side_by_side;
mod silence;
mod slot;
mod start;
mod state;
mod stored;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use arrivals::{Arrivals, Arrived, Room};
pub use consumer::GroupedConsumer;
pub use group::Group;
pub use leases_in::{LeasesIn, check_lease_time, lease_time};
pub use leasing::Leasing;
pub use log::{Log, Page, Part, Place, Resumes};
pub use resume::Resume;
pub use shared::Shared;
pub use side_by_side::side_by_side;
pub use slot::Task;
pub use stored::{StoredGroup, StoredGroups};
