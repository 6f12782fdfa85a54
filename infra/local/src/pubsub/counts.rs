//! What has come in and gone out, and what was done about it.

use std::collections::BTreeMap;

use super::faults::Fault;
use crate::in_process;

/// What the server has seen since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests by method, `Publish` for instance, by gRPC and JSON together, whatever became of them.
    pub requests: BTreeMap<&'static str, u64>,
    /// Connections taken in.
    pub connections: u64,
    /// Connections that are open now.
    pub open_connections: u64,
    /// StreamingPulls that are open now.
    pub open_streams: u64,
    /// Messages written, those whose answer was lost included, and those forwarded to dead-letter topics.
    pub messages_in: u64,
    /// Messages sent to readers, again and again where they have to.
    pub messages_out: u64,
    /// Of these, messages that the subscription had sent before and not forgotten since: without a seek, as many duplicates as
    /// readers may see, but for those that were published twice.
    pub messages_again: u64,
    /// Messages acknowledged for good.
    pub acked: u64,
    /// Acknowledgements that came too late or twice.
    pub late_acks: u64,
    /// Acknowledgements of ordered messages that came before those of earlier ones, and don't hold.
    pub unordered_acks: u64,
    /// Deliveries nacked.
    pub nacked: u64,
    /// Deliveries whose deadline passed.
    pub expired: u64,
    /// Messages forwarded to dead-letter topics.
    pub dead_lettered: u64,
    /// Messages that went unacknowledged, being past retention.
    pub forgotten: u64,
    /// Publishes refused by the limits, or for a full backlog.
    pub throttled: u64,
    /// StreamingPulls ended because their time was over.
    pub ended_streams: u64,
    /// StreamingPulls ended because nothing was said on them for too long.
    pub idle_streams: u64,
    /// What has struck.
    pub faults: BTreeMap<Fault, Strikes>,
}

impl Counts {
    /// Requests for a method, for instance `Publish`.
    pub fn requests(&self, method: &str) -> u64 {
        self.requests.get(method).copied().unwrap_or(0)
    }

    /// What a fault has struck so far.
    pub fn strikes(&self, fault: Fault) -> Strikes {
        self.faults.get(&fault).copied().unwrap_or_default()
    }

    /// Messages that were written and whose answers faults took away: what publishers that send again double at most.
    pub fn messages_unanswered(&self) -> u64 {
        let strikes = self.faults.values();
        strikes.map(|strikes| strikes.messages_unanswered).sum()
    }
}

/// How often a fault struck, and what it hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strikes {
    /// How often.
    pub times: u64,
    /// How often with messages in flight.
    pub times_in_flight: u64,
    /// Messages in flight when it struck, all times together: in the request that was struck, or sent on the stream and not
    /// acknowledged yet.
    pub messages_in_flight: u64,
    /// Of these, messages that were written and never answered.
    pub messages_unanswered: u64,
}

/// The counts as they grow.
pub(super) type Counters = in_process::Counters<Counts>;

impl Counters {
    pub(super) fn request(&self, method: &'static str) {
        self.add(|counts| *counts.requests.entry(method).or_default() += 1);
    }

    pub(super) fn strike(&self, fault: Fault, in_flight: usize, unanswered: usize) {
        self.add(|counts| {
            let strikes = counts.faults.entry(fault).or_default();
            strikes.times += 1;
            strikes.times_in_flight += u64::from(in_flight > 0);
            strikes.messages_in_flight += in_flight as u64;
            strikes.messages_unanswered += unanswered as u64;
        });
    }
}
