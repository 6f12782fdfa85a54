use crate::{Log, Part as _, backlog::Backlog};
use anyhub_core::{Error, Partition, driver::LaneId};
use anyhub_leases::Grant;
use std::time::Instant;
use tokio::task::AbortHandle;

/// Names one reading of one partition: what a reader of before brings is not wanted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotId(pub(crate) u64);

/// A partition that this consumer owns.
#[derive(Debug)]
pub(crate) struct Slot<L: Log> {
    pub(crate) id: SlotId,
    pub(crate) part: L::Part,
    pub(crate) partition: Partition,
    pub(crate) lane: LaneId,
    /// None: a private reader's.
    pub(crate) grant: Option<Grant>,
    /// Where its reading began; an Err: why there is no place to begin at, until a seek gives one.
    pub(crate) begin: Result<L::Begin, Error>,
    pub(crate) backlog: Backlog<L::Page>,
    pub(crate) mode: Mode,
    /// Why it is read no further, to be told once all that came before is delivered.
    pub(crate) failure: Option<Error>,
    /// None where there is nothing to read.
    pub(crate) reader: Option<Task>,
}

impl<L: Log> Slot<L> {
    pub(crate) fn is(&self, part: &str) -> bool {
        **self.part.id() == *part
    }
}

/// What is done with a partition.
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
pub struct Task(pub(crate) AbortHandle);

impl Task {
    /// Owns the task of this handle.
    pub fn new(task: AbortHandle) -> Self {
        Self(task)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
