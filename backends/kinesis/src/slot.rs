use crate::{backlog::Backlog, reader::Begin, shards::Shard};
use anyhub_core::{Partition, driver::LaneId};
use anyhub_leases::Grant;
use std::time::Instant;
use tokio::task::AbortHandle;

/// Names one reading of one shard: what a reader of before brings is not wanted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotId(pub(crate) u64);

/// A shard that this consumer owns.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(crate) shard: Shard,
    pub(crate) partition: Partition,
    pub(crate) lane: LaneId,
    /// None: a private reader's.
    pub(crate) grant: Option<Grant>,
    /// Where its reading began.
    pub(crate) begin: Begin,
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
    /// It is being given up to another member.
    Leaving,
    /// It is being given up as finished; another member may have asked for it meanwhile.
    Finishing(Option<Instant>),
}

impl Mode {
    /// Another member asks for it.
    pub(crate) fn asked(self) -> Self {
        match self {
            Self::Reading => Self::Asked(Instant::now()),
            Self::Finishing(None) => Self::Finishing(Some(Instant::now())),
            known => known,
        }
    }

    /// It is not finished after all.
    pub(crate) fn unfinished(self) -> Self {
        match self {
            Self::Finishing(None) => Self::Reading,
            Self::Finishing(Some(since)) => Self::Asked(since),
            other => other,
        }
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(crate) struct Task(pub(crate) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
