use super::wire::{bytes_len, put_bytes};
use hashbrown::HashTable;
use std::{
    hash::{BuildHasher, RandomState},
    ops::Range,
};

/// One of an aggregate's two tables while it grows: each text once, encoded as it comes.
///
/// Keys may come from strangers, so they are looked up by SipHash: many keys of one hash would
/// make the lookup quadratic.
#[derive(Debug)]
pub(super) struct Table {
    number: u32,
    encoded: Vec<u8>,
    texts: Vec<Range<u32>>,
    index: HashTable<u32>,
    hasher: RandomState,
    last: u32,
}

impl Table {
    /// Empty, as the field `number`.
    pub(super) fn new(number: u32) -> Self {
        Self {
            number,
            encoded: Vec::new(),
            texts: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::new(),
            last: 0,
        }
    }

    /// What goes into the message.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Where `text` is, or would be, and how many bytes adding it would cost.
    pub(super) fn find(&self, text: &str) -> (u32, usize) {
        // Events of one key tend to come in runs.
        let text = text.as_bytes();
        if self.text(self.last) == Some(text) {
            return (self.last, 0);
        }
        let hash = self.hasher.hash_one(text);
        let found = self.index.find(hash, |at| self.text(*at) == Some(text));
        match found {
            Some(at) => (*at, 0),
            None => (self.texts.len() as u32, bytes_len(text.len())),
        }
    }

    /// Adds `text` unless it is there: what [`find`](Self::find) said of it is `at`. The table
    /// stays under 4 GiB, which the caller sees to.
    pub(super) fn add(&mut self, at: u32, text: &str) {
        self.last = at;
        if at as usize != self.texts.len() {
            return;
        }
        put_bytes(&mut self.encoded, self.number, text.len());
        let start = self.encoded.len() as u32;
        self.encoded.extend_from_slice(text.as_bytes());
        self.texts.push(start..self.encoded.len() as u32);
        let Self {
            encoded,
            texts,
            hasher,
            ..
        } = self;
        let hash = |at: &u32| hasher.hash_one(slice(encoded, &texts[*at as usize]));
        self.index.insert_unique(hash(&at), at, hash);
    }

    /// Empties it; what it has allocated stays.
    pub(super) fn clear(&mut self) {
        self.encoded.clear();
        self.texts.clear();
        self.index.clear();
        self.last = 0;
    }

    fn text(&self, at: u32) -> Option<&[u8]> {
        let range = self.texts.get(at as usize)?;
        Some(slice(&self.encoded, range))
    }
}

fn slice<'a>(encoded: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    &encoded[range.start as usize..range.end as usize]
}
