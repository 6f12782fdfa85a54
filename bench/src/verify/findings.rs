//! What the verifier counted, before anyone judges it.

use serde::Serialize;

/// The counts of one phase, or of several added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Events handed to a producer.
    pub sent: u64,
    /// Acknowledged by the hub.
    pub acked: u64,
    /// Definitely not written.
    pub failed: u64,
    /// May have been written.
    pub indeterminate: u64,
    /// Of the indeterminate ones, those whose send never resolved at all.
    pub unresolved: u64,
    /// Of the indeterminate ones, those that were received.
    pub indeterminate_seen: u64,
    /// Distinct events received.
    pub delivered: u64,
    /// Acknowledged and never received, not even damaged.
    pub lost: u64,
    /// Of the lost ones, those that a later event of their key overtook.
    pub gaps: u64,
    /// Events that stand at more than one position.
    pub duplicates_in_log: u64,
    /// Of these, the acknowledged ones; an indeterminate event may occur more than once.
    pub duplicates_of_acked: u64,
    /// Deliveries of an event at a position where it had been delivered before.
    pub redelivered: u64,
    /// Received but never sent, or definitely failed.
    pub phantom: u64,
    /// Received damaged.
    pub corrupt: u64,
    /// Acknowledged events that first came after a later one of their key.
    pub order_violations: u64,
    /// Times that a replay left out an event which had been delivered before.
    pub replay_violations: u64,
    /// Acknowledged events that came from another position than their receipt says, and positions
    /// that two events share.
    pub position_violations: u64,
    /// Distinct keys received.
    pub keys: u64,
    /// The first events that something is wrong with.
    pub first: Vec<Finding>,
}

/// One event that something is wrong with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `lost`, `phantom`, `corrupt`, `duplicate`, `order`, `replay` or `position`.
    pub what: &'static str,
    /// Its key, where it is known.
    pub key: Option<String>,
    /// Its number within the key, where it is known.
    pub sequence: Option<u64>,
    /// How its send ended, where it is known.
    pub outcome: Option<&'static str>,
    /// Where it was received, as partition/position.
    pub at: Option<String>,
    /// What was wrong, where that needs words.
    pub why: Option<String>,
}

/// How many [`Finding`]s are kept.
pub(super) const KEPT: usize = 1_000;

impl Findings {
    /// Adds another phase or run.
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.acked += other.acked;
        self.failed += other.failed;
        self.indeterminate += other.indeterminate;
        self.unresolved += other.unresolved;
        self.indeterminate_seen += other.indeterminate_seen;
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.gaps += other.gaps;
        self.duplicates_in_log += other.duplicates_in_log;
        self.duplicates_of_acked += other.duplicates_of_acked;
        self.redelivered += other.redelivered;
        self.phantom += other.phantom;
        self.corrupt += other.corrupt;
        self.order_violations += other.order_violations;
        self.replay_violations += other.replay_violations;
        self.position_violations += other.position_violations;
        // Each phase draws from the same keys.
        self.keys = self.keys.max(other.keys);
        let room = KEPT.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }
}
