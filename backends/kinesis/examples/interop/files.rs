//! The files of infra/interop/README.md.

use anyhub_kinesis::aggregate::HashRange;
use bytes::{Buf, BufMut, Bytes};
use std::{fmt, fs, path::Path};

/// A Kinesis record, and the shard that it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    pub key: String,
    pub range: HashRange,
    pub data: Bytes,
}

/// An event that a reader finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Which record of the capture it is in.
    pub record: u32,
    /// Where in the aggregate; None if the record is the event.
    pub sub: Option<u32>,
    pub key: String,
    pub hash: Option<u128>,
    pub payload: Bytes,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            record,
            sub,
            key,
            hash,
            payload,
        } = self;
        write!(
            f,
            "record {record}, {sub:?}, key {key}, hash {hash:?}, {} bytes",
            payload.len()
        )
    }
}

pub(crate) fn write_capture(path: &Path, records: &[Capture]) {
    let mut out = Vec::new();
    for record in records {
        put(&mut out, record.key.as_bytes());
        out.put_u128(record.range.start());
        out.put_u128(record.range.end());
        put(&mut out, &record.data);
    }
    fs::write(path, out).unwrap();
}

pub(crate) fn read_capture(path: &Path) -> Vec<Capture> {
    let mut bytes = Bytes::from(fs::read(path).unwrap());
    let mut records = Vec::new();
    while bytes.has_remaining() {
        records.push(Capture {
            key: text(&mut bytes),
            range: HashRange::new(bytes.get_u128()..=bytes.get_u128()),
            data: take(&mut bytes),
        });
    }
    records
}

pub(crate) fn write_events(path: &Path, events: &[Event]) {
    let mut out = Vec::new();
    for event in events {
        out.put_u32(event.record);
        out.put_i32(event.sub.map_or(-1, |sub| sub as i32));
        put(&mut out, event.key.as_bytes());
        put(
            &mut out,
            event
                .hash
                .map_or(String::new(), |hash| hash.to_string())
                .as_bytes(),
        );
        put(&mut out, &event.payload);
    }
    fs::write(path, out).unwrap();
}

pub(crate) fn read_events(path: &Path) -> Vec<Event> {
    let mut bytes = Bytes::from(fs::read(path).unwrap());
    let mut events = Vec::new();
    while bytes.has_remaining() {
        events.push(Event {
            record: bytes.get_u32(),
            sub: u32::try_from(bytes.get_i32()).ok(),
            key: text(&mut bytes),
            hash: Some(text(&mut bytes))
                .filter(|hash| !hash.is_empty())
                .map(|hash| hash.parse().unwrap()),
            payload: take(&mut bytes),
        });
    }
    events
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

fn take(bytes: &mut Bytes) -> Bytes {
    let len = bytes.get_u32() as usize;
    bytes.split_to(len)
}

fn text(bytes: &mut Bytes) -> String {
    String::from_utf8(take(bytes).into()).unwrap()
}
