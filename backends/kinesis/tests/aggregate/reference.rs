//! The format once more, as prost understands it.

use anyhub_kinesis::aggregate::{MAGIC, SubRecord};
use bytes::Bytes;
use md5::{Digest, Md5};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AggregatedRecord {
    #[prost(string, repeated, tag = "1")]
    pub partition_key_table: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub explicit_hash_key_table: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub records: Vec<Record>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Record {
    #[prost(uint64, required, tag = "1")]
    pub partition_key_index: u64,
    #[prost(uint64, optional, tag = "2")]
    pub explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "bytes", required, tag = "3")]
    pub data: Bytes,
    #[prost(message, repeated, tag = "4")]
    pub tags: Vec<Tag>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Tag {
    // Strings in the format; that they are UTF-8 is nobody's business here.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

/// An event to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub key: String,
    pub hash: Option<u128>,
    pub payload: Bytes,
}

impl Event {
    pub(crate) fn new(key: &str, hash: Option<u128>, payload: &'static [u8]) -> Self {
        Self {
            key: key.into(),
            hash,
            payload: Bytes::from_static(payload),
        }
    }
}

impl From<SubRecord> for Event {
    fn from(record: SubRecord) -> Self {
        Self {
            key: String::from_utf8(record.partition_key.into()).unwrap(),
            hash: record.hash_key,
            payload: record.payload,
        }
    }
}

/// The message of these events.
pub(crate) fn message(events: &[Event]) -> AggregatedRecord {
    let mut message = AggregatedRecord::default();
    for event in events {
        let hash = event.hash.map(|hash| hash.to_string());
        message.records.push(Record {
            partition_key_index: place(&mut message.partition_key_table, event.key.clone()),
            explicit_hash_key_index: hash
                .map(|hash| place(&mut message.explicit_hash_key_table, hash)),
            data: event.payload.clone(),
            tags: Vec::new(),
        });
    }
    message
}

fn place(table: &mut Vec<String>, text: String) -> u64 {
    let at = table.iter().position(|known| *known == text);
    let at = at.unwrap_or_else(|| {
        table.push(text);
        table.len() - 1
    });
    at as u64
}

/// The events of a message; None if it is no message, or makes no sense.
pub(crate) fn events(message: Bytes) -> Option<Vec<Event>> {
    let message = AggregatedRecord::decode(message).ok()?;
    let event = |record: Record| {
        let key = message
            .partition_key_table
            .get(record.partition_key_index as usize)?;
        let hash = match record.explicit_hash_key_index {
            None => None,
            Some(at) => {
                let text = message.explicit_hash_key_table.get(at as usize)?;
                Some(text.parse().ok()?)
            }
        };
        Some(Event {
            key: key.clone(),
            hash,
            payload: record.data,
        })
    };
    message.records.clone().into_iter().map(event).collect()
}

/// A record whose magic and MD5 are right, whatever the message is.
pub(crate) fn seal(message: &[u8]) -> Bytes {
    [&MAGIC[..], message, &Md5::digest(message)].concat().into()
}
