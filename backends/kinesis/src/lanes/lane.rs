use super::{
    Step,
    pace::{MOST_RECORDS, Pace},
    queue::Queue,
    request::Undecided,
};
use crate::shards::Shard;
use anyhub_core::{Error, Partition};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// What goes to one shard.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) shard: Arc<Shard>,
    pub(super) partition: Partition,
    pub(super) queue: Queue,
    pub(super) pace: Pace,
    pub(super) bell: Arc<Notify>,
    pub(super) in_flight: bool,
    /// Of the last answer; nothing is sent until they are decided.
    pub(super) undecided: Vec<Undecided>,
    /// The shard takes no records any more, and all that waited has moved.
    pub(super) retired: bool,
    /// Until then it waits for more to come. None: nothing is here.
    pub(super) due: Option<Instant>,
    /// Its task waits: for this long, or for the bell.
    pub(super) parked: Option<Option<Instant>>,
    /// Why the last request failed, wholly or in part.
    pub(super) trouble: Option<Error>,
    pub(super) touched: bool,
}

/// With so much, it waits for no more.
const PLENTY: usize = 256 << 10;

impl Lane {
    pub(super) fn new(shard: Shard, batch_bytes: usize) -> Self {
        Self {
            partition: shard.partition(),
            shard: Arc::new(shard),
            queue: Queue::default(),
            pace: Pace::new(batch_bytes),
            bell: Arc::default(),
            in_flight: false,
            undecided: Vec::new(),
            retired: false,
            due: None,
            parked: None,
            trouble: None,
            touched: false,
        }
    }

    /// Something was queued, and may wait `linger` for more.
    pub(super) fn grown(&mut self, now: Instant, linger: Duration) {
        self.touched = false;
        let plenty = self.queue.bytes() >= PLENTY || self.queue.keys() >= MOST_RECORDS;
        let latest = if plenty { now } else { now + linger };
        self.due = Some(self.due.map_or(latest, |due| due.min(latest)));
        if let Some(until) = self.parked
            && until.is_none_or(|until| self.due().is_some_and(|due| due < until))
        {
            self.ring();
        }
    }

    /// When it may send what it has.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = self.due.filter(|_| !self.queue.is_empty())?;
        Some(self.pace.rests_until.map_or(due, |rest| rest.max(due)))
    }

    pub(super) fn park(&mut self, until: Option<Instant>) -> Step {
        self.parked = Some(until);
        Step::Wait(until)
    }

    pub(super) fn ring(&mut self) {
        if self.parked.take().is_some() {
            self.bell.notify_one();
        }
    }

    /// Whether events of it may be on their way.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight || !self.undecided.is_empty()
    }

    pub(super) fn is_over(&self) -> bool {
        self.retired && !self.is_busy()
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (one, other) = (&self.shard.range, &other.shard.range);
        one.start() <= other.end() && other.start() <= one.end()
    }
}
