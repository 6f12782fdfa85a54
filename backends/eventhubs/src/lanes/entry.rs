//! One event on its way.

use anyhub_core::{Error, Receipt, Result, driver::Submitted};
use std::{sync::Arc, time::Instant};

/// An event that waits, or is in flight.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As it is encoded.
    pub(super) encoded: Vec<u8>,
    /// Where it has to stand with the others of the batch: Event Hubs chooses by it.
    pub(super) key: Option<Arc<str>>,
    batch: Arc<Submitted>,
    index: u32,
    /// Its place among all of its lane.
    pub(super) number: u64,
    /// It may be what a message was refused for: it goes alone.
    pub(super) alone: bool,
    /// It may have been written, by a message whose answer was lost.
    pub(super) maybe: bool,
}

impl Entry {
    pub(crate) fn new(
        encoded: Vec<u8>,
        key: Option<Arc<str>>,
        batch: Arc<Submitted>,
        index: u32,
    ) -> Self {
        Self {
            encoded,
            key,
            batch,
            index,
            number: 0,
            alone: false,
            maybe: false,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.batch.deadline()
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.batch.deadline() <= now
    }

    pub(super) fn tell(&self, outcome: Result<Receipt>) {
        self.batch.tell(self.index, outcome);
    }

    /// It was not written, unless it may have been before.
    pub(super) fn tell_refused(&self, error: &Error) {
        self.batch.tell_refused(self.index, self.maybe, error);
    }

    /// Its deadline has passed; `cause` is what was in the way.
    pub(super) fn tell_late(&self, in_flight: bool, cause: Option<&Error>) {
        self.batch
            .tell_late(self.index, in_flight || self.maybe, cause);
    }
}
