//! From Kinesis' records to events in their places.

use crate::{
    aggregate::{Aggregate, HashRange},
    fetch, message,
};
use anyhub_core::{
    Event, Result,
    driver::{Sequence, key_hash},
};
use aws_sdk_kinesis::types::Record;
use bytes::Bytes;
use std::time::{Duration, SystemTime};

/// An event as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) at: Sequence,
    pub(crate) event: Event,
    /// By which the lanes tell keys apart.
    pub(crate) key: Option<u64>,
    pub(crate) published: Option<SystemTime>,
}

impl Read {
    /// Bytes that it holds on to, about.
    pub(crate) fn size(&self) -> usize {
        self.event.size() + size_of::<Self>()
    }
}

/// How records of one shard are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder {
    /// What the shard carries: an aggregate with as much as one event outside counts for nothing,
    /// as KCL has it; its writer sends it again.
    pub(crate) range: HashRange,
    /// Whether events may travel with their headers in front.
    pub(crate) envelope: bool,
}

impl Decoder {
    /// Adds the events of a record from `from` on.
    pub(crate) fn read(
        &self,
        record: Record,
        from: Option<Sequence>,
        into: &mut Vec<Read>,
    ) -> Result<()> {
        let place = fetch::place("receive", &record)?;
        let published = record.approximate_arrival_timestamp.and_then(|time| {
            // Whole milliseconds that travel as a fraction of seconds, which rounds them.
            let millis = (time.as_nanos() + 500_000) / 1_000_000;
            Some(SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).ok()?))
        });
        let data = Bytes::from(record.data.into_inner());
        let key = Bytes::from(record.partition_key.unwrap_or_default());
        let mut add = |at: Sequence, key: Bytes, payload: Bytes| {
            if from.is_some_and(|from| at < from) {
                return;
            }
            let event = message::event(key, payload, self.envelope);
            into.push(Read {
                at,
                key: event.key.as_ref().map(|key| key_hash(key.as_bytes())),
                event,
                published,
            });
        };
        match Aggregate::parse(&data) {
            None => add(place, key, data),
            Some(aggregate) if aggregate.lies_within(&self.range) => {
                for event in aggregate {
                    add(
                        place.with_index(event.index),
                        event.partition_key,
                        event.payload,
                    );
                }
            }
            Some(aggregate) => {
                tracing::debug!(
                    record = %place.number(),
                    events = aggregate.len(),
                    "an aggregate for a shard that was split meanwhile: its writer sends it again"
                );
            }
        }
        Ok(())
    }
}
