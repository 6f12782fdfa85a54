//! Leases
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
pub use store::{LeaseStore, MemoryLeases, Written};
#[cfg(feature = "object-store")]
pub use store::ObjectLeases;
#[cfg(feature = "sqlite")]
pub use store::SqliteLeases;
