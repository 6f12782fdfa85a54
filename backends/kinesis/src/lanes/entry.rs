//! One event on its way.

use crate::{
    aggregate::{Aggregator, MAGIC},
    message::keyless,
};
use anyhub_core::{Error, Receipt, Result, driver::Submitted};
use bytes::Bytes;
use std::{borrow::Cow, sync::Arc, time::Instant};

/// An event that waits, or is in flight.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Decides on the shard: its key's, or one that was chosen for a keyless event. Two keys of
    /// one hash, which can be made, are one key here: no reshard can part them either.
    pub(super) hash: u128,
    key: Option<Bytes>,
    payload: Bytes,
    batch: Arc<Submitted>,
    index: u32,
    /// The bytes of a record of it alone.
    alone: usize,
    plain: bool,
    /// It may have been written, by a request whose answer was lost.
    pub(super) maybe: bool,
}

impl Entry {
    /// A keyless event gets its hash when its shard is chosen.
    pub(crate) fn new(
        hash: u128,
        key: Option<Bytes>,
        payload: Bytes,
        batch: Arc<Submitted>,
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

/// Of the keys that stand for none.
const KEYLESS_LEN: usize = 31;
