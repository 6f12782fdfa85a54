//! From Kinesis' records to events in their places.

use crate::{
    aggregate::{Aggregate, HashRange, MAGIC},
    fetch, message,
};
use anyhub_core::{Event, Result, driver::Sequence};
use aws_sdk_kinesis::{
    primitives::{Blob, DateTime},
    types::Record,
};
use bytes::{Bytes, BytesMut};
use std::{
    num::NonZeroU64,
    ops::Range,
    time::{Duration, SystemTime},
};

/// How records of one shard are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder {
    /// What the shard carries: an aggregate with as much as one event outside counts for nothing,
    /// as KCL has it; its writer sends it again.
    pub(crate) range: HashRange,
    /// Whether events may travel with their headers in front.
    pub(crate) envelope: bool,
}

/// The events of some records, as bytes and where they lie in them: events that share these bytes are
/// made when they are handed out.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// First one of many small records; a large record and an aggregate each have their own.
    buffers: Vec<Bytes>,
    reads: Vec<Read>,
    bytes: usize,
    envelope: bool,
}

/// An event as it was read.
#[derive(Debug)]
struct Read {
    at: Sequence,
    key: Slice,
    payload: Slice,
    /// Milliseconds since 1970.
    published: Option<NonZeroU64>,
}

/// A piece of a page's buffer.
#[derive(Debug, Clone, Copy)]
struct Slice {
    buffer: u32,
    start: u32,
    end: u32,
}

/// A plain record up to this is copied into one buffer with the others of its page; a larger one keeps
/// its own.
const SMALL: usize = 4 << 10;

impl Decoder {
    /// The events of a page of records, from `from` on.
    pub(crate) fn read(&self, mut records: Vec<Record>, from: Option<Sequence>) -> Result<Page> {
        let mut page = Page {
            reads: Vec::with_capacity(records.len()),
            envelope: self.envelope,
            ..Page::default()
        };
        let shared = records.iter().map(shared_len).sum();
        let mut shared = BytesMut::with_capacity(shared);
        let mut own = Vec::new();
        for record in &mut records {
            let place = fetch::place("receive", record)?;
            let published = record.approximate_arrival_timestamp.and_then(millis);
            let mut add = |at: Sequence, key: Slice, payload: Slice| {
                if from.is_none_or(|from| from <= at) {
                    page.bytes += key.len() + payload.len();
                    page.reads.push(Read {
                        at,
                        key,
                        payload,
                        published,
                    });
                }
            };
            if is_small(record) {
                let key = Slice::appended(&mut shared, key(record));
                let payload = Slice::appended(&mut shared, record.data.as_ref());
                add(place, key, payload);
                continue;
            }
            // Behind the shared one.
            let buffer = own.len() as u32 + 1;
            let data = std::mem::replace(&mut record.data, Blob::new([]));
            let data = Bytes::from(data.into_inner());
            match Aggregate::parse(&data) {
                None => {
                    let key = Slice::appended(&mut shared, key(record));
                    add(place, key, Slice::of(buffer, 0..data.len()));
                }
                Some(aggregate) if aggregate.lies_within(&self.range) => {
                    for (index, (key, payload)) in aggregate.places().enumerate() {
                        let at = place.with_index(index as u32);
                        add(at, Slice::of(buffer, key), Slice::of(buffer, payload));
                    }
                }
                Some(aggregate) => {
                    tracing::debug!(
                        record = %place.number(),
                        events = aggregate.len(),
                        "an aggregate for a shard that was split meanwhile: its writer sends it again"
                    );
                    continue;
                }
            }
            own.push(data);
        }
        page.buffers.push(shared.freeze());
        page.buffers.append(&mut own);
        Ok(page)
    }
}

impl Page {
    /// How many events it has.
    pub(crate) fn len(&self) -> usize {
        self.reads.len()
    }

    /// Bytes that it holds on to, about.
    pub(crate) fn size(&self) -> usize {
        self.bytes + self.len() * size_of::<Read>()
    }

    /// Those of one event.
    pub(crate) fn size_of(&self, index: usize) -> usize {
        let read = self.reads.get(index);
        read.map_or(0, |read| read.key.len() + read.payload.len()) + size_of::<Read>()
    }

    /// Where an event stands.
    pub(crate) fn at(&self, index: usize) -> Option<Sequence> {
        self.reads.get(index).map(|read| read.at)
    }

    pub(crate) fn first(&self) -> Option<Sequence> {
        self.at(0)
    }

    pub(crate) fn last(&self) -> Option<Sequence> {
        self.reads.last().map(|read| read.at)
    }

    /// The first event that stands there or later.
    pub(crate) fn index_of(&self, at: Sequence) -> usize {
        self.reads.partition_point(|read| read.at < at)
    }

    /// An event, and when it was published.
    pub(crate) fn event(&self, index: usize) -> Option<(Event, Option<SystemTime>)> {
        let read = self.reads.get(index)?;
        let (key, payload) = (self.slice(read.key), self.slice(read.payload));
        let event = message::event(key, payload, self.envelope);
        let published = read.published.map(|millis| {
            let since = Duration::from_millis(millis.get());
            SystemTime::UNIX_EPOCH + since
        });
        Some((event, published))
    }

    fn slice(&self, slice: Slice) -> Bytes {
        let buffer = self.buffers.get(slice.buffer as usize);
        buffer.map_or_else(Bytes::new, |buffer| {
            buffer.slice(slice.start as usize..slice.end as usize)
        })
    }
}

impl Slice {
    /// A record is far below 4 GiB.
    fn of(buffer: u32, range: Range<usize>) -> Self {
        Self {
            buffer,
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    /// In the shared buffer.
    fn appended(shared: &mut BytesMut, bytes: &[u8]) -> Self {
        let start = shared.len();
        shared.extend_from_slice(bytes);
        Self::of(0, start..shared.len())
    }

    fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// Whole milliseconds that travel as a fraction of seconds, which rounds them.
fn millis(time: DateTime) -> Option<NonZeroU64> {
    let seconds = u64::try_from(time.secs()).ok()?;
    let rounded = (u64::from(time.subsec_nanos()) + 500_000) / 1_000_000;
    NonZeroU64::new(seconds.checked_mul(1_000)?.checked_add(rounded)?)
}

/// What a record takes of the shared buffer: an aggregate has its keys in itself.
fn shared_len(record: &Record) -> usize {
    match is_small(record) {
        true => key(record).len() + record.data.as_ref().len(),
        false => key(record).len(),
    }
}

fn is_small(record: &Record) -> bool {
    let size = key(record).len() + record.data.as_ref().len();
    size <= SMALL && !record.data.as_ref().starts_with(&MAGIC)
}

fn key(record: &Record) -> &[u8] {
    record
        .partition_key
        .as_deref()
        .unwrap_or_default()
        .as_bytes()
}
