//! One event on its way, and the batch that it was submitted in.

use crate::{
    aggregate::{Aggregator, MAGIC},
    error::HUB,
    message::keyless,
};
use anyhub_core::{
    Error, ErrorKind, Receipt, Result,
    driver::{Completer, Room},
};
use bytes::Bytes;
use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A submitted batch: who is told, and by when.
pub(crate) struct Batch {
    completer: Completer,
    /// Given back when all are told.
    room: Mutex<Option<Room>>,
    pub(super) deadline: Instant,
    /// What the deadline was made from, for messages.
    patience: Duration,
}

/// An event that waits, or is in flight.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Decides on the shard: its key's, or one that was chosen for a keyless event. Two keys of
    /// one hash, which can be made, are one key here: no reshard can part them either.
    pub(super) hash: u128,
    key: Option<Bytes>,
    payload: Bytes,
    batch: Arc<Batch>,
    index: u32,
    /// The bytes of a record of it alone.
    alone: usize,
    plain: bool,
    /// It may have been written, by a request whose answer was lost.
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
            let room = self
                .room
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            drop(room);
        }
    }
}

impl Entry {
    /// A keyless event gets its hash when its shard is chosen.
    pub(crate) fn new(
        hash: u128,
        key: Option<Bytes>,
        payload: Bytes,
        batch: Arc<Batch>,
        index: u32,
    ) -> Self {
        let plain = !payload.starts_with(&MAGIC);
        let mut this = Self {
            hash,
            key,
            payload,
            batch,
            index,
            alone: 0,
            plain,
            maybe: false,
        };
        this.alone = this.size_of_one();
        this
    }

    pub(super) fn is_keyless(&self) -> bool {
        self.key.is_none()
    }

    pub(crate) fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The partition key, and the hash that decides in its place.
    pub(crate) fn address(&self) -> (Cow<'_, str>, Option<u128>) {
        match &self.key {
            // It was UTF-8 when it was checked.
            Some(key) => (std::str::from_utf8(key).unwrap_or_default().into(), None),
            None => (keyless(self.hash as u64).into(), Some(self.hash)),
        }
    }

    /// Whether it goes as it is where it is alone in a record.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The bytes of a record of it alone.
    pub(super) fn alone(&self) -> usize {
        self.alone
    }

    fn size_of_one(&self) -> usize {
        if self.plain {
            return self.key_len() + self.payload.len();
        }
        match &self.key {
            Some(_) => Aggregator::size_of_one(&self.address().0, None, &self.payload),
            // The longest hash key.
            None => Aggregator::size_of_one(&keyless(0), Some(u128::MAX), &self.payload),
        }
    }

    pub(super) fn key_len(&self) -> usize {
        match &self.key {
            Some(key) => key.len(),
            None => KEYLESS_LEN,
        }
    }

    /// The most bytes that its payload takes in an aggregate.
    pub(super) fn among_others(&self) -> usize {
        self.payload.len() + 24
    }

    /// The most bytes that its key takes in an aggregate, once.
    pub(super) fn key_among_others(&self) -> usize {
        let hash = if self.key.is_none() { 48 } else { 0 };
        self.key_len() + 4 + hash
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
        self.tell(Err(if self.maybe {
            error.with_indeterminate()
        } else {
            error
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
        let advice = match cause {
            Some(cause) if cause.kind() == ErrorKind::Throttled => {
                "the shard takes no more: give the stream more shards, or submit more slowly"
            }
            Some(cause) => cause
                .advice()
                .unwrap_or("it is tried again until the deadline"),
            None => "submit more slowly, or raise the deadline",
        };
        error = error.with_advice(advice);
        self.tell(Err(match indeterminate {
            true => error.with_indeterminate(),
            false => error,
        }));
    }
}

/// Of the keys that stand for none.
const KEYLESS_LEN: usize = 31;

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.completer.fmt(f)
    }
}
