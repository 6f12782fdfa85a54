//! From Kinesis' records to events in their places.

use crate::{
    aggregate::{Aggregate, HashRange, MAGIC},
    fetch, message,
};
use anyhub_core::{
    Event, Result,
    driver::{Sequence, key_hash},
};
use aws_sdk_kinesis::types::Record;
use bytes::{Bytes, BytesMut};
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

/// A plain record up to this is copied into one buffer with the others of its page; a larger one keeps
/// its own.
const SMALL: usize = 4 << 10;

impl Decoder {
    /// The events of a page of records, from `from` on.
    pub(crate) fn read(&self, records: Vec<Record>, from: Option<Sequence>) -> Result<Vec<Read>> {
        let mut reads = Vec::with_capacity(records.len());
        let mut page = Page::of(&records);
        for record in records {
            let place = fetch::place("receive", &record)?;
            let published = record.approximate_arrival_timestamp.and_then(|time| {
                // Whole milliseconds that travel as a fraction of seconds, which rounds them.
                let millis = (time.as_nanos() + 500_000) / 1_000_000;
                Some(SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).ok()?))
            });
            let mut add = |at: Sequence, key: Bytes, payload: Bytes| {
                if from.is_some_and(|from| at < from) {
                    return;
                }
                let event = message::event(key, payload, self.envelope);
                reads.push(Read {
                    at,
                    key: event.key.as_ref().map(|key| key_hash(key.as_bytes())),
                    event,
                    published,
                });
            };
            if let Some((key, data)) = page.next(&record) {
                add(place, key, data);
                continue;
            }
            let data = Bytes::from(record.data.into_inner());
            let key = Bytes::from(record.partition_key.unwrap_or_default());
            match Aggregate::parse(&data) {
                None => add(place, key, data),
                Some(aggregate) if aggregate.lies_within(&self.range) => {
                    for event in aggregate {
                        let at = place.with_index(event.index);
                        add(at, event.partition_key, event.payload);
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
        }
        Ok(reads)
    }
}

/// The small plain records of a page in one buffer: a buffer each would cost more than their bytes.
struct Page(Bytes);

impl Page {
    fn of(records: &[Record]) -> Self {
        let small = || records.iter().filter(|record| is_small(record));
        let mut buffer = BytesMut::with_capacity(small().map(size).sum());
        for record in small() {
            buffer.extend_from_slice(key(record));
            buffer.extend_from_slice(record.data.as_ref());
        }
        Self(buffer.freeze())
    }

    /// Key and data of the next record, if it is one of these.
    fn next(&mut self, record: &Record) -> Option<(Bytes, Bytes)> {
        is_small(record).then(|| {
            let key = self.0.split_to(key(record).len());
            (key, self.0.split_to(record.data.as_ref().len()))
        })
    }
}

fn is_small(record: &Record) -> bool {
    size(record) <= SMALL && !record.data.as_ref().starts_with(&MAGIC)
}

fn size(record: &Record) -> usize {
    key(record).len() + record.data.as_ref().len()
}

fn key(record: &Record) -> &[u8] {
    record
        .partition_key
        .as_deref()
        .unwrap_or_default()
        .as_bytes()
}
