/// What a hub can and can't do beyond the portable contract. What is not declared here answers
/// Unsupported or Invalid; nothing is dropped or re-encoded in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Who moves when one consumer of a group seeks (C8).
    pub assignment: Assignment,
    /// `Point::Positions` can be sought exactly.
    pub positions: bool,
    /// Receipts tell partition and position (P4).
    pub receipts: bool,
    /// What headers can be (E3).
    pub headers: HeaderSupport,
    /// Keys that are no UTF-8 or longer than 128 characters are carried (E1).
    pub binary_keys: bool,
    /// Null payloads are carried (E2).
    pub tombstones: bool,
    /// A retry inside the producer can't write an event twice.
    pub idempotent_producer: bool,
    /// Key order holds while the number of partitions changes (C13).
    pub order_across_resize: bool,
    /// The number of partitions can be raised by [`Admin`](crate::Admin).
    pub resize: bool,
    /// A consumer that retention has overtaken is told (C14).
    pub overtaken: bool,
    /// Retention by size can be set.
    pub retention_bytes: bool,
    /// Lag is known in events, not only in time.
    pub lag_in_events: bool,
}

impl Capabilities {
    /// The portable contract alone: every extra off.
    pub fn portable() -> Self {
        Self {
            assignment: Assignment::Exclusive,
            positions: false,
            receipts: false,
            headers: HeaderSupport::Portable,
            binary_keys: false,
            tombstones: false,
            idempotent_producer: false,
            order_across_resize: false,
            resize: false,
            overtaken: false,
            retention_bytes: false,
            lag_in_events: false,
        }
    }
}

/// How the consumers of a group share a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Assignment {
    /// Each partition has one owner; a seek moves this consumer's partitions.
    Exclusive,
    /// The hub has no partitions and keeps one cursor for the group: a topic is one partition, which every member has at
    /// once; a key is with one of them at a time. A seek moves the group.
    Shared,
}

/// Which headers a hub carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderSupport {
    /// None: an event with headers is Unsupported.
    None,
    /// Unique UTF-8 names up to 256 bytes that do not begin with "goog", UTF-8 values up to
    /// 1,024 bytes; beyond that Invalid.
    Portable,
    /// Any bytes as values, names may repeat.
    Any,
}
