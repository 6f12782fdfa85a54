//! What has come in and gone out, and what was done about it.

use std::collections::BTreeMap;

use super::faults::Fault;
use crate::in_process;

/// What the server has seen since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections taken in.
    pub connections: u64,
    /// Connections that are open now.
    pub open_connections: u64,
    /// Links that read events now.
    pub open_readers: u64,
    /// Messages that brought events: a batch is one.
    pub messages_in: u64,
    /// Events written, those whose answer was lost included.
    pub events_in: u64,
    /// Events sent to readers, again and again where they ask for it.
    pub events_out: u64,
    /// Messages refused by the throughput units with ServerBusy.
    pub throttled: u64,
    /// Logins and tokens refused.
    pub refused_tokens: u64,
    /// Links closed since their token had expired.
    pub expired_links: u64,
    /// Receivers' links taken away by another one of at least their epoch.
    pub stolen_links: u64,
    /// Connections closed for what they sent: malformed frames, most often.
    pub broken_connections: u64,
    /// What has struck.
    pub faults: BTreeMap<Fault, Strikes>,
}

impl Counts {
    /// What a fault has struck so far.
    pub fn strikes(&self, fault: Fault) -> Strikes {
        self.faults.get(&fault).copied().unwrap_or_default()
    }

    /// Events that were written and whose answers faults took away: what producers that send again double at most.
    pub fn events_unanswered(&self) -> u64 {
        let strikes = self.faults.values();
        strikes.map(|strikes| strikes.events_unanswered).sum()
    }
}

/// How often a fault struck, and what it hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strikes {
    /// How often.
    pub times: u64,
    /// How often with events in flight.
    pub times_in_flight: u64,
    /// Events in flight when it struck, all times together: sent here and not answered yet, or sent to a reader and not
    /// settled yet, on what was struck: the delivery, the link or the connection.
    pub events_in_flight: u64,
    /// Of these, events that were written and never answered.
    pub events_unanswered: u64,
}

/// The counts as they grow.
pub(super) type Counters = in_process::Counters<Counts>;

impl Counters {
    pub(super) fn strike(&self, fault: Fault, in_flight: u64, unanswered: u64) {
        self.add(|counts| {
            let strikes = counts.faults.entry(fault).or_default();
            strikes.times += 1;
            strikes.times_in_flight += u64::from(in_flight > 0);
            strikes.events_in_flight += in_flight;
            strikes.events_unanswered += unanswered;
        });
    }
}
