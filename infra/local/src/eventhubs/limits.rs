//! How many and how large things may be; nothing that a peer sends takes memory beyond that.

/// The readers without an epoch that a group may have on a partition.
/// Source: Event Hubs documentation, "Quotas and limits" (2026-11).
pub(super) const READERS: usize = 5;
/// The largest message, in bytes. Source: as above, Standard tier and up; the size that the service's links tell (2026-11).
pub(super) const MESSAGE: usize = 1_048_576;
/// The longest partition key, in characters. Source: as in Microsoft's clients, `MaximumPartitionKeyLength` (2026-11).
pub(super) const KEY: usize = 128;
/// The connections of a namespace. Source: as above, brokered connections in the Standard tier.
pub(super) const CONNECTIONS: u64 = 5_000;
/// The links of a connection, those that are refused and not given up included: as many as it may have sessions.
pub(super) const LINKS: usize = 5_000;
/// The resources that a connection may have tokens for: a client puts one for each link.
pub(super) const TOKENS: usize = LINKS;
/// The longest text of a peer's that is kept, in bytes: a name or an address.
pub(super) const TEXT: usize = 1_024;
/// Bytes of deliveries that aren't whole yet, of all links of a connection and of all connections.
pub(super) const PARTIAL: usize = 16 * 1024 * 1024;
pub(super) const PARTIAL_OF_ALL: usize = 128 * 1024 * 1024;
/// Bytes of answers that a connection's peer hasn't given credit for.
pub(super) const ANSWERS: usize = 1024 * 1024;
/// The most partitions of a hub. Source: as above, Dedicated tier.
pub(super) const PARTITIONS: u32 = 1_024;
