use super::{
    DATA, DIGEST, HASH_INDEX, HASHES, KEY_INDEX, KEYS, MAGIC, RECORDS,
    table::Table,
    wire::{bytes_len, put_bytes, put_number, varint_len},
};
use bytes::Bytes;
use md5::{Digest, Md5};
use std::mem;

/// Puts events together, one Kinesis record at a time; what it allocates for that is used again.
///
/// Payloads are kept as they came and copied once, into the record. It has one partition key or
/// several, as the caller decides. Mind that readers go by KCL's rule: a record with as much as
/// one event outside its shard's range is dropped as a whole
/// ([`Aggregate::lies_within`](super::Aggregate::lies_within)).
#[derive(Debug)]
pub struct Aggregator {
    keys: Table,
    hashes: Table,
    entries: Vec<Entry>,
    /// The first event's: the record goes where that one would go.
    partition_key: String,
    hash_key: Option<u128>,
    /// The bytes of the field `records`.
    records: usize,
}

/// A Kinesis record to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition key.
    pub partition_key: String,
    /// Its explicit hash key, if the first event has one.
    pub hash_key: Option<u128>,
    /// Its data.
    pub data: Vec<u8>,
    /// How many events it has.
    pub events: usize,
}

#[derive(Debug)]
struct Entry {
    key: u32,
    hash: Option<u32>,
    payload: Bytes,
}

impl Entry {
    /// The bytes of its message.
    fn len(&self) -> usize {
        let hash = self.hash.map_or(0, number_len);
        number_len(self.key) + hash + bytes_len(self.payload.len())
    }
}

/// Kinesis' largest record: 10 MiB, where the stream's MaxRecordSize allows it (Amazon Kinesis
/// developer guide, "Quotas and limits", read 2026-11-25).
const LARGEST: usize = 10 << 20;

impl Aggregator {
    /// Without events.
    pub fn new() -> Self {
        Self {
            keys: Table::new(KEYS),
            hashes: Table::new(HASHES),
            entries: Vec::new(),
            partition_key: String::new(),
            hash_key: None,
            records: 0,
        }
    }

    /// The bytes that one event takes alone, as Kinesis bills and limits them: data and partition
    /// key.
    pub fn size_of_one(partition_key: &str, hash_key: Option<u128>, payload: &[u8]) -> usize {
        let mut size = partition_key.len() + payload.len();
        if payload.starts_with(&MAGIC) {
            let hash = hash_key.map_or((0, 0), |hash| {
                (bytes_len(hash.to_string().len()), number_len(0))
            });
            let entry = number_len(0) + hash.1 + bytes_len(payload.len());
            let message = bytes_len(partition_key.len()) + hash.0 + bytes_len(entry);
            size = partition_key.len() + MAGIC.len() + message + DIGEST;
        }
        size
    }

    /// The bytes of the record that [`finish`](Self::finish) would give now, exactly: data and
    /// partition key, as Kinesis bills and limits them. 0 without events.
    pub fn size(&self) -> usize {
        match &self.entries[..] {
            [] => 0,
            [lone] if goes_plain(&lone.payload) => self.partition_key.len() + lone.payload.len(),
            _ => self.partition_key.len() + self.data_len(0),
        }
    }

    /// How many events it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an event, unless [`size`](Self::size) would then be more than `limit` (or 10 MiB,
    /// Kinesis' own limit): that is told by false, and changes nothing.
    ///
    /// `hash_key` decides on the shard in the key's place.
    pub fn try_push(
        &mut self,
        limit: usize,
        partition_key: &str,
        hash_key: Option<u128>,
        payload: &Bytes,
    ) -> bool {
        let limit = limit.min(LARGEST);
        let first = self.entries.is_empty();
        let (key, key_cost) = self.keys.find(partition_key);
        let text = hash_key.map(|hash| hash.to_string());
        let found = text.as_ref().map(|text| self.hashes.find(text));
        let entry = Entry {
            key,
            hash: found.map(|(at, _)| at),
            payload: payload.clone(),
        };
        let record = bytes_len(entry.len());
        let size = if first && goes_plain(payload) {
            partition_key.len() + payload.len()
        } else {
            let own_key = if first {
                partition_key.len()
            } else {
                self.partition_key.len()
            };
            own_key + self.data_len(key_cost + found.map_or(0, |(_, cost)| cost) + record)
        };
        if size > limit {
            return false;
        }
        self.keys.add(key, partition_key);
        if let (Some(text), Some((at, _))) = (&text, found) {
            self.hashes.add(at, text);
        }
        if first {
            self.partition_key.push_str(partition_key);
            self.hash_key = hash_key;
        }
        self.records += record;
        self.entries.push(entry);
        true
    }

    /// The record, or None without events; then it is empty again.
    ///
    /// An event that is alone goes as it is, unless its bytes begin as an aggregate's do: readers
    /// would take it for one.
    pub fn finish(&mut self) -> Option<Record> {
        let data = match &mut self.entries[..] {
            [] => return None,
            [lone] if goes_plain(&lone.payload) => mem::take(&mut lone.payload).into(),
            _ => self.encode(),
        };
        let record = Record {
            partition_key: mem::take(&mut self.partition_key),
            hash_key: self.hash_key.take(),
            data,
            events: self.entries.len(),
        };
        self.keys.clear();
        self.hashes.clear();
        self.entries.clear();
        self.records = 0;
        Some(record)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data_len(0));
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(self.keys.encoded());
        out.extend_from_slice(self.hashes.encoded());
        for entry in &self.entries {
            put_bytes(&mut out, RECORDS, entry.len());
            put_number(&mut out, KEY_INDEX, entry.key.into());
            if let Some(hash) = entry.hash {
                put_number(&mut out, HASH_INDEX, hash.into());
            }
            put_bytes(&mut out, DATA, entry.payload.len());
            out.extend_from_slice(&entry.payload);
        }
        let digest = Md5::digest(&out[MAGIC.len()..]);
        out.extend_from_slice(&digest);
        out
    }

    /// The bytes of the aggregate with `more` in its message.
    fn data_len(&self, more: usize) -> usize {
        let tables = self.keys.encoded().len() + self.hashes.encoded().len();
        MAGIC.len() + tables + self.records + more + DIGEST
    }
}

impl Default for Aggregator {
    fn default() -> Self {
        Self::new()
    }
}

fn goes_plain(payload: &[u8]) -> bool {
    !payload.starts_with(&MAGIC)
}

fn number_len(value: u32) -> usize {
    1 + varint_len(value.into())
}
