use crate::backlog::Backlog;
use anyhub_core::{Partition, driver::LaneId};
use anyhub_leases::Grant;
use std::{sync::Arc, time::Instant};
use tokio::task::AbortHandle;

/// Names one reading of one shard: what a reader of before brings is not wanted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotId(pub(crate) u64);

/// A shard that this consumer owns.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(crate) shard: Arc<str>,
    pub(crate) partition: Partition,
    pub(crate) lane: LaneId,
    /// None: a private reader's.
    pub(crate) grant: Option<Grant>,
    pub(crate) backlog: Backlog,
    pub(crate) mode: Mode,
    pub(crate) reader: Task,
}

/// What is done with a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Its events are delivered.
    Reading,
    /// Another member asked for it then: what was delivered is awaited, and nothing more is.
    Asked(Instant),
    /// It is being given up: as finished, or to another member.
    Leaving,
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(crate) struct Task(pub(crate) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
