//! One event on its way, and the batch that it was submitted in.

use crate::error::HUB;
use anyhub_core::{
    Error, ErrorKind, Receipt, Result,
    driver::{Completer, Room},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A submitted batch: who is told, and by when.
pub(crate) struct Batch {
    completer: Completer,
    /// Given back when all are told.
    room: Mutex<Option<Room>>,
    deadline: Instant,
    /// What the deadline was made from, for messages.
    patience: Duration,
}

/// An event that waits, or is in flight.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As it is encoded.
    pub(super) encoded: Vec<u8>,
    /// Where it has to stand with the others of the batch: Event Hubs chooses by it.
    pub(super) key: Option<Arc<str>>,
    batch: Arc<Batch>,
    index: u32,
    /// It may have been written, by a message whose answer was lost.
    pub(super) maybe: bool,
}

impl Batch {
    pub(crate) fn new(
        completer: Completer,
        room: Option<Room>,
        now: Instant,
        patience: Duration,
    ) -> Self {
        // What timers and the telling take.
        let slack = (patience / 16).min(Duration::from_millis(50));
        Self {
            completer,
            room: Mutex::new(room),
            deadline: now + patience - slack,
            patience,
        }
    }

    fn tell(&self, index: u32, outcome: Result<Receipt>) {
        if self.completer.set(index as usize, outcome) {
            let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
            let room = room.take();
            drop(room);
        }
    }
}

impl Entry {
    pub(crate) fn new(
        encoded: Vec<u8>,
        key: Option<Arc<str>>,
        batch: Arc<Batch>,
        index: u32,
    ) -> Self {
        Self {
            encoded,
            key,
            batch,
            index,
            maybe: false,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.batch.deadline
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.batch.deadline <= now
    }

    pub(super) fn tell(&self, outcome: Result<Receipt>) {
        self.batch.tell(self.index, outcome);
    }

    /// It was not written, unless it may have been before.
    pub(super) fn tell_refused(&self, error: &Error) {
        let error = error.clone();
        self.tell(Err(match self.maybe {
            true => error.with_indeterminate(),
            false => error,
        }));
    }

    /// Its deadline has passed; `cause` is what was in the way.
    pub(super) fn tell_late(&self, in_flight: bool, cause: Option<&Error>) {
        let patience = self.batch.patience;
        let indeterminate = in_flight || self.maybe;
        let mut message = match indeterminate {
            true => format!("no answer within {patience:?}"),
            false => format!("not written within {patience:?}"),
        };
        if let Some(cause) = cause {
            message.push_str(": ");
            message.push_str(cause.message());
        }
        let mut error = Error::new(ErrorKind::Timeout, HUB, "submit", message);
        if let Some(cause) = cause {
            error = error.with_source(cause.clone());
        }
        error = error.with_advice(match cause {
            Some(cause) => cause
                .advice()
                .unwrap_or("it is tried again until the deadline"),
            None => "submit more slowly, or raise the deadline",
        });
        self.tell(Err(match indeterminate {
            true => error.with_indeterminate(),
            false => error,
        }));
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.completer.fmt(f)
    }
}
