use super::{Member, NewPartition};
use crate::{Checkpoint, Lease, Version};
use std::{sync::Arc, time::Duration};

/// What a member knows of one partition, and does about it. One write at a time is in flight.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) partition: Arc<str>,
    /// The row as it was last known.
    pub(super) view: Option<View>,
    /// When the owner's counter was last seen to change.
    pub(super) seen_at: Duration,
    /// The last scan that it was in.
    pub(super) scan: u32,
    /// When a write of it was last answered: a listing from before then is older than the view.
    pub(super) touched_at: Duration,
    pub(super) flight: Option<Flight>,
    pub(super) hold: Option<Hold>,
    pub(super) fails: u32,
    pub(super) retry_at: Duration,
    /// The take counter of the last take that was tried: known again if its answer was lost.
    pub(super) attempt: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) lease: Arc<Lease>,
    pub(super) version: Version,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) sequence: u32,
    pub(super) start: Duration,
    pub(super) doing: Doing,
    pub(super) lease: Arc<Lease>,
    /// The last ticket that is done when it is written.
    pub(super) ticket: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Makes the row.
    Create,
    /// Makes this member its owner.
    Take,
    /// Renews, with what else is to be written.
    Keep,
    /// Asks its owner for it.
    Ask,
    /// Strikes out parents.
    Narrow,
}

/// An ownership.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) takes: u64,
    pub(super) generation: u64,
    /// Until when it may deliver.
    pub(super) until: Duration,
    pub(super) renew_at: Duration,
    /// Until when it may drain, once it was asked for.
    pub(super) asked: Option<Duration>,
    /// The checkpoint to be written.
    pub(super) wanted: Option<Checkpoint>,
    /// The last ticket that `wanted` stands for.
    pub(super) ticket: u64,
    /// The last ticket that was settled.
    pub(super) settled: u64,
    pub(super) closing: Closing,
    pub(super) closing_ticket: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Closing {
    No,
    Release,
    /// Once these children have rows too.
    Finish(Vec<Arc<str>>),
    /// It was not drained in time, and its loss is told already.
    Forced,
}

impl Slot {
    pub(super) fn new(partition: Arc<str>) -> Self {
        Self {
            partition,
            view: None,
            seen_at: Duration::ZERO,
            scan: 0,
            touched_at: Duration::ZERO,
            flight: None,
            hold: None,
            fails: 0,
            retry_at: Duration::ZERO,
            attempt: None,
        }
    }

    /// Whether the owner has given no sign for as long as it said that it would.
    pub(super) fn expired(&self, lease: &Lease, now: Duration) -> bool {
        now >= self.seen_at.saturating_add(lease.term)
    }
}

impl Hold {
    pub(super) fn new(lease: &Lease) -> Self {
        Self {
            takes: lease.takes,
            generation: lease.checkpoint.generation,
            until: Duration::ZERO,
            renew_at: Duration::ZERO,
            asked: None,
            wanted: None,
            ticket: 0,
            settled: 0,
            closing: Closing::No,
            closing_ticket: 0,
        }
    }
}

impl Member {
    /// Whether all parents of a partition are finished, or it is begun already (C11).
    pub(super) fn is_open(&self, lease: &Lease) -> bool {
        self.flawed(super::Flaw::ChildFirst)
            || lease.parents.iter().all(|parent| self.is_finished(parent))
    }

    fn is_finished(&self, partition: &Arc<str>) -> bool {
        let lease = self.lease(partition);
        lease.is_some_and(|lease| lease.checkpoint.finished)
    }

    /// Whether a partition has a row.
    pub(super) fn has_row(&self, partition: &Arc<str>) -> bool {
        self.lease(partition).is_some()
    }

    fn lease(&self, partition: &Arc<str>) -> Option<&Arc<Lease>> {
        let slot = self.slots.get(*self.index.get(partition)? as usize)?;
        slot.view.as_ref().map(|view| &view.lease)
    }

    /// The row as it is made for a new partition. Its counter starts anywhere, so that a row that is
    /// removed and made again by a late write is not taken for the one that was watched before.
    pub(super) fn row_of(new: &NewPartition, takes: u64, counter: u32) -> Lease {
        let mut lease = Lease::new(new.partition.clone(), takes);
        lease.counter = counter.into();
        lease.parents = new.parents.clone();
        lease.checkpoint.position = new.position.clone();
        lease
    }
}
