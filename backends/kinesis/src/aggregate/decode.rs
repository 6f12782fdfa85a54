use super::{
    DATA, DIGEST, HASH_INDEX, HASHES, HashRange, KEY_INDEX, KEYS, MAGIC, RECORDS, TAGS, hash_key,
    wire::{Unsound, Value, field},
};
use bytes::Bytes;
use md5::{Digest, Md5};
use std::{iter::FusedIterator, ops::Range};

/// A record that holds several events, each a slice of it.
///
/// As KCL, what is no sound aggregate is no aggregate: its record is one event. KCL is not as
/// strict about a message that parses and makes no sense, such as an index past its table: it
/// gives what comes before that and drops the rest. Here, nothing is dropped.
#[derive(Debug, Clone)]
pub struct Aggregate {
    data: Bytes,
    /// Where the partition keys lie; half as long as usize would be, for hostile tables' sake.
    keys: Vec<Range<u32>>,
    hashes: Vec<u128>,
    len: u32,
}

/// One event of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubRecord {
    /// Its place in the aggregate, from 0: KCL's sub-sequence number.
    pub index: u32,
    /// Its partition key, which is UTF-8.
    pub partition_key: Bytes,
    /// Its explicit hash key, if it has one.
    pub hash_key: Option<u128>,
    /// Its payload.
    pub payload: Bytes,
}

/// The events of an aggregate, in order.
#[derive(Debug, Clone)]
pub struct SubRecords {
    aggregate: Aggregate,
    /// Where in the data the next field begins.
    at: usize,
    next: u32,
}

/// One event as the message has it: indexes into the tables, and where the payload lies.
#[derive(Debug)]
struct Entry {
    key: u32,
    hash: Option<u32>,
    payload: Range<usize>,
}

impl Aggregate {
    /// The aggregate that the data of a record is; None if it is one plain event.
    ///
    /// Whatever the bytes are: it doesn't panic, and takes time and memory in proportion to their
    /// length (of memory, sixteen times at most, where tables are all that there is). An aggregate
    /// may be of no events at all.
    pub fn parse(data: &Bytes) -> Option<Self> {
        if !data.starts_with(&MAGIC) || u32::try_from(data.len()).is_err() {
            return None;
        }
        let end = data.len().checked_sub(DIGEST)?;
        // As KCL: no message is no aggregate.
        let message = data
            .get(MAGIC.len()..end)
            .filter(|message| !message.is_empty())?;
        if Md5::digest(message)[..] != data[end..] {
            return None;
        }
        Self::read(data, end).ok()
    }

    /// How many events it has.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether all of its events belong to the shard that carried it; if not, none counts.
    ///
    /// This is KCL's rule (AggregatorUtil.deaggregate, amazon-kinesis-client 3.x; issue 343): at
    /// the first event outside the range it drops the whole record. That happens to aggregates
    /// that were made for a shard which has been split meanwhile; their writer sees it by the
    /// shard in the answer, and has to send all of their events again.
    pub fn lies_within(&self, range: &HashRange) -> bool {
        if *range == HashRange::FULL {
            return true;
        }
        let mut fits = vec![false; self.keys.len()];
        let mut at = MAGIC.len();
        while let Some(entry) = self.entry(&mut at) {
            let key = entry.key as usize;
            let inside = match entry.hash {
                Some(hash) => range.contains(self.hashes[hash as usize]),
                None => fits[key] || range.contains(hash_key(&self.data[self.key(key)])),
            };
            if !inside {
                return false;
            }
            fits[key] |= entry.hash.is_none();
        }
        true
    }

    /// Where the partition key and the payload of each event lie in the record, in order.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let mut at = MAGIC.len();
        let entries = std::iter::from_fn(move || self.entry(&mut at));
        entries.map(|entry| (self.key(entry.key as usize), entry.payload))
    }

    /// Reads the whole message that ends at `end`, so that nothing can be wrong with it later.
    fn read(data: &Bytes, end: usize) -> Result<Self, Unsound> {
        let mut this = Self {
            data: data.clone(),
            keys: Vec::new(),
            hashes: Vec::new(),
            len: 0,
        };
        // The lengths that the tables must have; they may stand behind the records.
        let (mut keys, mut hashes) = (0, 0);
        let mut at = MAGIC.len();
        while let Some(next) = field(data, &mut at, end)? {
            match next {
                (KEYS, Value::Bytes(range)) => {
                    std::str::from_utf8(&data[range.clone()]).map_err(|_| Unsound)?;
                    this.keys.push(range.start as u32..range.end as u32);
                }
                (HASHES, Value::Bytes(range)) => this.hashes.push(decimal(&data[range])?),
                (RECORDS, Value::Bytes(range)) => {
                    let entry = entry(data, range)?;
                    keys = keys.max(entry.key as usize + 1);
                    hashes = hashes.max(entry.hash.map_or(0, |hash| hash as usize + 1));
                    this.len += 1;
                }
                (KEYS | HASHES | RECORDS, _) => return Err(Unsound),
                // A field of a later version of the format.
                _ => {}
            }
        }
        if keys > this.keys.len() || hashes > this.hashes.len() {
            return Err(Unsound);
        }
        Ok(this)
    }

    /// The next event from `*at` on, which it moves; None at the end.
    fn entry(&self, at: &mut usize) -> Option<Entry> {
        let end = self.data.len() - DIGEST;
        // All of it has been read once, so it can be again.
        while let Ok(Some(next)) = field(&self.data, at, end) {
            if let (RECORDS, Value::Bytes(range)) = next {
                return entry(&self.data, range).ok();
            }
        }
        None
    }

    fn key(&self, key: usize) -> Range<usize> {
        let range = &self.keys[key];
        range.start as usize..range.end as usize
    }
}

impl IntoIterator for Aggregate {
    type Item = SubRecord;
    type IntoIter = SubRecords;

    fn into_iter(self) -> SubRecords {
        SubRecords {
            aggregate: self,
            at: MAGIC.len(),
            next: 0,
        }
    }
}

impl Iterator for SubRecords {
    type Item = SubRecord;

    fn next(&mut self) -> Option<SubRecord> {
        let aggregate = &self.aggregate;
        let entry = aggregate.entry(&mut self.at)?;
        let index = self.next;
        self.next += 1;
        Some(SubRecord {
            index,
            partition_key: aggregate.data.slice(aggregate.key(entry.key as usize)),
            hash_key: entry.hash.map(|hash| aggregate.hashes[hash as usize]),
            payload: aggregate.data.slice(entry.payload),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.aggregate.len - self.next) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for SubRecords {}
impl FusedIterator for SubRecords {}

/// A message Record. Of a field that is there twice the last one counts, as protobuf has it.
#[inline]
fn entry(data: &[u8], range: Range<usize>) -> Result<Entry, Unsound> {
    let (mut key, mut hash, mut payload) = (None, None, None);
    let mut at = range.start;
    while let Some(next) = field(data, &mut at, range.end)? {
        match next {
            (KEY_INDEX, Value::Varint(index)) => key = Some(small(index)?),
            (HASH_INDEX, Value::Varint(index)) => hash = Some(small(index)?),
            (DATA, Value::Bytes(range)) => payload = Some(range),
            (TAGS, Value::Bytes(range)) => tag(data, range)?,
            (KEY_INDEX | HASH_INDEX | DATA | TAGS, _) => return Err(Unsound),
            _ => {}
        }
    }
    Ok(Entry {
        key: key.ok_or(Unsound)?,
        hash,
        payload: payload.ok_or(Unsound)?,
    })
}

/// A message Tag: a key, and perhaps a value. Nobody writes any, and nothing is made of it here.
fn tag(data: &[u8], range: Range<usize>) -> Result<(), Unsound> {
    let mut keyed = false;
    let mut at = range.start;
    while let Some(next) = field(data, &mut at, range.end)? {
        match next {
            (TAG_KEY, Value::Bytes(_)) => keyed = true,
            (TAG_KEY | TAG_VALUE, Value::Varint(_) | Value::Fixed) => return Err(Unsound),
            _ => {}
        }
    }
    if keyed { Ok(()) } else { Err(Unsound) }
}

const TAG_KEY: u32 = 1;
const TAG_VALUE: u32 = 2;

/// No table of a record is longer.
fn small(index: u64) -> Result<u32, Unsound> {
    u32::try_from(index).map_err(|_| Unsound)
}

fn decimal(text: &[u8]) -> Result<u128, Unsound> {
    let text = std::str::from_utf8(text).map_err(|_| Unsound)?;
    text.parse().map_err(|_| Unsound)
}
