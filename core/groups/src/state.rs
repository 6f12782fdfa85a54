//! What of a consumer is behind one lock.

use crate::{
    Log,
    slot::{Slot, Task},
};
use anyhub_core::{Change, Error, Partition, driver::Outage};
use anyhub_leases::Leases;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};
use tokio::task::JoinHandle;

#[derive(Debug)]
pub(crate) struct State<L: Log> {
    pub(crate) slots: Vec<Slot<L>>,
    /// What the application was not told yet.
    pub(crate) changes: Vec<Change>,
    pub(crate) failure: Option<Error>,
    /// How closing went, if that was not told yet.
    pub(crate) outcome: Option<Error>,
    pub(crate) presence: Presence,
    /// Since when the application has not called `receive`; None while it does.
    pub(crate) away_since: Option<Instant>,
    /// Partitions that a private reader has read to their end, or begins behind.
    pub(crate) done: HashSet<Arc<str>>,
    /// Where it begins those that wait for their parents.
    pub(crate) begun: HashMap<Arc<str>, L::Begin>,
    /// What the log had when it first joined its group: all else was added.
    pub(crate) listed: HashSet<Arc<str>>,
    /// When it was last due to look for partitions that were added, and who does so now.
    pub(crate) looked: Instant,
    pub(crate) looking: Option<Task>,
    pub(crate) outage: Outage,
    /// Which slot is read first: none goes hungry.
    pub(crate) turn: usize,
    pub(crate) ids: u64,
}

/// Whether the consumer is a member of its group.
#[derive(Debug)]
pub(crate) enum Presence {
    /// A private reader.
    Alone,
    Joining,
    Member {
        leases: Arc<Leases>,
        /// What it gives rows to, which are written meanwhile.
        begun: Vec<Arc<str>>,
        #[allow(dead_code)] // aborts when it is dropped
        attending: Task,
    },
    /// It did not call `receive` for too long, and leaves; it joins again when it does.
    Away {
        leaving: Option<JoinHandle<()>>,
    },
    Closed,
}

impl<L: Log> State<L> {
    /// Of a consumer that will be a member of a group, or of one without.
    pub(crate) fn new(is_member: bool) -> Self {
        Self {
            slots: Vec::new(),
            changes: Vec::new(),
            failure: None,
            outcome: None,
            presence: match is_member {
                true => Presence::Joining,
                false => Presence::Alone,
            },
            away_since: Some(Instant::now()),
            done: HashSet::new(),
            begun: HashMap::new(),
            listed: HashSet::new(),
            looked: Instant::now(),
            looking: None,
            outage: Outage::default(),
            turn: 0,
            ids: 0,
        }
    }

    pub(crate) fn position(&self, part: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.is(part))
    }

    pub(crate) fn take_if(
        &mut self,
        part: &str,
        meant: impl FnOnce(&Slot<L>) -> bool,
    ) -> Option<Slot<L>> {
        let index = self.position(part)?;
        meant(&self.slots[index]).then(|| self.slots.swap_remove(index))
    }

    /// Keeps a change for the next batch; of one kind in a row, one change with all partitions.
    pub(crate) fn tell(&mut self, change: fn(Vec<Partition>) -> Change, partition: &Partition) {
        let mut change = change(vec![partition.clone()]);
        match (self.changes.last_mut(), &mut change) {
            (Some(Change::Assigned(last)), Change::Assigned(new))
            | (Some(Change::Revoked(last)), Change::Revoked(new))
            | (Some(Change::Lost(last)), Change::Lost(new)) => last.append(new),
            _ => self.changes.push(change),
        }
    }
}
