//! One member's side of the algorithm, without clock, store or I/O of its own.

mod answer;
mod balance;
mod calls;
mod flaw;
mod poll;
mod slot;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

#[cfg(not(feature = "flaws"))]
use flaw::Flaw;
#[cfg(feature = "flaws")]
pub use flaw::Flaw;

use crate::{Checkpoint, Key, Options, Row, Stored, Version, Written};
use rand::SeedableRng;
use rand_pcg::Pcg32;
use rustc_hash::FxHashMap;
use slot::{Doing, Slot};
use std::{cmp::Ordering, collections::VecDeque, fmt, sync::Arc, time::Duration};

/// One member of a group, as a pure state machine: [`poll`](Self::poll) says what to ask of the
/// store, [`answer`](Self::answer) takes what it answered, [`event`](Self::event) tells what
/// happened. Readings of the clock come from outside, and so does the seed of its choices: the same
/// calls give the same answers. [`Leases`](crate::Leases) runs one on tokio.
///
/// After any call other than `may_deliver`, take the events and poll again.
pub struct Member {
    name: Arc<str>,
    times: Times,
    order: fn(&str, &str) -> Ordering,
    rng: Pcg32,
    /// One for each partition; an index stays with its partition.
    slots: Vec<Slot>,
    index: FxHashMap<Arc<str>, u32>,
    free: Vec<u32>,
    /// The slots that are held, and those with something to do, so that a poll passes over the rest.
    held: Vec<u32>,
    todo: Vec<(u32, Doing)>,
    /// Other members that have a row, by name.
    peers: Vec<Peer>,
    own: Own,
    scan: Scan,
    /// Partitions whose rows are to be made, or whose parents are to be fewer.
    adds: Vec<Add>,
    sweep: Option<u32>,
    events: VecDeque<Event>,
    sequence: u32,
    tickets: u64,
    leaving: Leaving,
    picks: Vec<u32>,
    #[cfg(feature = "flaws")]
    flaw: Option<Flaw>,
}

/// A partition to be known to the group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewPartition {
    /// The hub's name for it.
    pub partition: Arc<str>,
    /// The partitions that must be finished first (C11). One that was trimmed away, or that lies
    /// wholly before the group's start, must not be named: what is named and has no row holds the
    /// partition back until its row is made and finished. If the row is there, not yet begun and
    /// names more, those that are not named here are struck out.
    pub parents: Vec<Arc<str>>,
    /// Where the group begins in it: everything up to here counts as done. None: its start. Counts
    /// only when the row is made.
    pub position: Option<Arc<str>>,
}

impl NewPartition {
    /// A partition read from its start, waiting for none.
    pub fn new(partition: impl Into<Arc<str>>) -> Self {
        Self {
            partition: partition.into(),
            parents: Vec::new(),
            position: None,
        }
    }

    /// Sets [`parents`](Self::parents).
    pub fn parents<P: Into<Arc<str>>>(mut self, parents: impl IntoIterator<Item = P>) -> Self {
        self.parents = parents.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`position`](Self::position).
    pub fn position(mut self, position: impl Into<Arc<str>>) -> Self {
        self.position = Some(position.into());
        self
    }
}

/// A partition that was granted: names this one ownership of it in every later call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// The partition.
    pub partition: Arc<str>,
    /// How often its owner has changed: higher than that of any earlier owner.
    pub takes: u64,
    /// Where to go on. A later seek answers a grant with the next generation.
    pub checkpoint: Checkpoint,
}

/// What happened to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The partition is this member's, while [`Member::may_deliver`] says so.
    Granted(Grant),
    /// Another member asks for the partition: deliver no more of it, drain, release it.
    Asked(Arc<str>),
    /// The partition was taken, or was not given up in time: its grant is void.
    Lost(Arc<str>),
    /// The calls about this partition with a ticket up to this one are done.
    Settled {
        /// The partition.
        partition: Arc<str>,
        /// The last ticket.
        ticket: u64,
        /// Whether they are durable; otherwise another owner came first.
        durable: bool,
    },
    /// Everything is released, and the member's row removed.
    Left,
}

/// The grant that a call named is no longer this member's, or a seek has moved past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

/// Something to be asked of the store, by [`Member::poll`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// To be given back with the answer.
    pub id: RequestId,
    /// What to do.
    pub operation: Operation,
    /// For how long to wait; then the answer is [`Answer::Failed`].
    pub patience: Duration,
}

/// Names a request of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    target: Target,
    sequence: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    Scan,
    Own,
    Sweep,
    Slot(u32),
}

/// One call of a [`LeaseStore`](crate::LeaseStore).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// [`list`](crate::LeaseStore::list)
    List,
    /// [`write`](crate::LeaseStore::write)
    Write {
        /// The row.
        row: Row,
        /// Where it must stand.
        expected: Option<Version>,
    },
    /// [`remove`](crate::LeaseStore::remove)
    Remove {
        /// The row.
        key: Key,
        /// Where it must stand.
        expected: Option<Version>,
    },
}

/// What the store answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// To a list.
    Listed(Vec<Stored>),
    /// To a write.
    Written(Written),
    /// To a removal: whether the row is gone.
    Removed(bool),
    /// No answer, or an error: it may have been done all the same.
    Failed {
        /// How long the store asked to wait.
        retry_after: Option<Duration>,
    },
}

/// What follows from the length of a lease.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// How long observers wait after the last change that they saw.
    lease: Duration,
    /// How long an owner may deliver after the start of its last good write: shorter by a tenth,
    /// so that clocks may differ in rate by 5% either way (C10).
    effective: Duration,
    renew: Duration,
    write: Duration,
    list: Duration,
    backoff: Duration,
    handover: Duration,
}

#[derive(Debug)]
struct Peer {
    name: Arc<str>,
    counter: u64,
    term: Duration,
    version: Version,
    /// When its counter was last seen to change.
    seen_at: Duration,
    scan: u32,
    live: bool,
    load: u32,
}

impl Peer {
    /// Until when it is taken to live, unless it is heard of again.
    fn until(&self) -> Duration {
        self.seen_at.saturating_add(self.term)
    }
}

/// This member's own row.
#[derive(Debug, Default)]
struct Own {
    version: Option<Version>,
    counter: u64,
    flight: Option<(u32, Duration)>,
    due: Duration,
    fails: u32,
}

#[derive(Debug, Default)]
struct Scan {
    flight: Option<(u32, Duration)>,
    due: Duration,
    fails: u32,
    /// How many have been answered.
    number: u32,
}

#[derive(Debug)]
struct Add {
    slot: u32,
    new: NewPartition,
    takes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    Releasing,
    Left,
}

impl Member {
    /// A member called `name`, which no other member of the group may ever have had. It writes
    /// nothing before it is polled.
    pub fn new(name: impl Into<Arc<str>>, options: &Options, seed: u64) -> Self {
        let lease = options.lease;
        Self {
            name: name.into(),
            times: Times {
                lease,
                effective: lease - lease / 10,
                renew: lease / 3,
                write: lease / 6,
                list: lease / 3,
                backoff: lease / 100,
                handover: options.handover,
            },
            order: options.order,
            rng: Pcg32::seed_from_u64(seed),
            slots: Vec::new(),
            index: FxHashMap::default(),
            free: Vec::new(),
            held: Vec::new(),
            todo: Vec::new(),
            peers: Vec::new(),
            own: Own::default(),
            scan: Scan::default(),
            adds: Vec::new(),
            sweep: None,
            events: VecDeque::new(),
            sequence: 0,
            tickets: 0,
            leaving: Leaving::No,
            picks: Vec::new(),
            #[cfg(feature = "flaws")]
            flaw: None,
        }
    }

    /// The member's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it has seen the rows of its group.
    pub fn has_looked(&self) -> bool {
        self.scan.number > 0
    }

    /// The next event, in order.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn request(&mut self, target: Target, patience: Duration, operation: Operation) -> Request {
        self.sequence = self.sequence.wrapping_add(1);
        Request {
            id: RequestId {
                target,
                sequence: self.sequence,
            },
            operation,
            patience,
        }
    }

    /// The slot of a partition, made if need be.
    fn slot(&mut self, partition: &Arc<str>) -> u32 {
        if let Some(&index) = self.index.get(partition) {
            return index;
        }
        let slot = Slot::new(partition.clone());
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(partition.clone(), index);
        index
    }

    #[cfg(feature = "flaws")]
    fn flawed(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    #[cfg(not(feature = "flaws"))]
    #[inline(always)]
    fn flawed(&self, _: Flaw) -> bool {
        false
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("name", &self.name)
            .field("slots", &self.slots)
            .field("peers", &self.peers)
            .field("leaving", &self.leaving)
            .finish_non_exhaustive()
    }
}
