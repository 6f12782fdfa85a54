//! The events that wait in one lane: by key in their order, keys in turn.

use super::{
    entry::Entry,
    request::{Planned, Together},
};
use hashbrown::{HashTable, hash_table};
use slab::Slab;
use std::{collections::VecDeque, time::Instant};

/// All is O(1) for each event; once it has grown, nothing is allocated for one.
#[derive(Debug)]
pub(super) struct Queue {
    slots: Slab<Slot>,
    /// Of each key that has events here, the chain of them.
    chains: Slab<Chain>,
    keys: HashTable<usize>,
    secret: [u64; 2],
    /// Which chain's turn it is; what the chain doesn't confirm is out of date.
    turns: VecDeque<(usize, u64)>,
    last_turn: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    next: Option<usize>,
}

#[derive(Debug)]
struct Chain {
    hash: u128,
    head: usize,
    tail: usize,
    turn: u64,
}

/// What a request may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) records: usize,
    /// Unless the first record is larger.
    pub(super) bytes: usize,
    /// Of an aggregate.
    pub(super) record: usize,
    pub(super) together: Together,
    /// What is past its deadline is not taken.
    pub(super) now: Instant,
    /// A flaw: a key has as many records as it fills.
    #[cfg(test)]
    pub(super) again: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            slots: Slab::new(),
            chains: Slab::new(),
            keys: HashTable::new(),
            secret: rand::random(),
            turns: VecDeque::new(),
            last_turn: 0,
            bytes: 0,
        }
    }
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    pub(super) fn keys(&self) -> usize {
        self.chains.len()
    }

    /// Bytes of payloads and keys.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Behind all of its key.
    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += entry.alone();
        let hash = entry.hash;
        let at = self.slots.insert(Slot { entry, next: None });
        match self.chain_of(hash, at) {
            (nth, None) => {
                let chain = &mut self.chains[nth];
                self.slots[chain.tail].next = Some(at);
                chain.tail = at;
            }
            (nth, Some(turn)) => self.turns.push_back((nth, turn)),
        }
    }

    /// Before all of their keys, in this order, and their keys have the next turns.
    pub(super) fn put_back(&mut self, entries: Vec<Entry>) {
        let mut key = None;
        for entry in entries.into_iter().rev() {
            self.bytes += entry.alone();
            let hash = entry.hash;
            let at = self.slots.insert(Slot { entry, next: None });
            let nth = match self.chain_of(hash, at) {
                (nth, None) => nth,
                (nth, Some(turn)) => {
                    self.turns.push_front((nth, turn));
                    key = Some(hash);
                    continue;
                }
            };
            let chain = &mut self.chains[nth];
            self.slots[at].next = Some(chain.head);
            chain.head = at;
            if key != Some(hash) {
                self.last_turn += 1;
                chain.turn = self.last_turn;
                self.turns.push_front((nth, self.last_turn));
                key = Some(hash);
            }
        }
    }

    /// Takes out what the next request is to hold: in each key's order, of each key events for no
    /// more than one record.
    pub(super) fn take(&mut self, most: &Most, taken: &mut Taken) {
        let mut held = Vec::new();
        while let Some((nth, turn)) = self.turns.pop_front() {
            if !self.is_turn(nth, turn) || !self.pop_late(nth, most.now, &mut taken.late) {
                continue;
            }
            if !taken.has_room(most, self.head(nth)) {
                self.turns.push_front((nth, turn));
                break;
            }
            if self.take_key(nth, most, taken) {
                #[cfg(test)]
                if most.again {
                    self.turns.push_back((nth, turn));
                    taken.close();
                    continue;
                }
                held.push((nth, turn));
            }
        }
        taken.close();
        self.turns.extend(held);
    }

    /// True if the key has more.
    fn take_key(&mut self, nth: usize, most: &Most, taken: &mut Taken) -> bool {
        let mut begun = false;
        loop {
            match taken.fit(most, self.head(nth), begun) {
                Fit::Here => {}
                Fit::New => taken.close(),
                Fit::Not => return true,
            }
            begun = true;
            let (entry, more) = self.pop(nth);
            taken.add(entry);
            if !more {
                return false;
            }
        }
    }

    /// Takes out what is late; the earliest deadline of the rest.
    pub(super) fn late(&mut self, now: Instant, late: &mut Vec<Entry>) -> Option<Instant> {
        let is_late = |(nth, chain): (usize, &Chain)| {
            let head = &self.slots[chain.head].entry;
            head.is_late(now).then_some(nth)
        };
        let keys: Vec<usize> = self.chains.iter().filter_map(is_late).collect();
        for nth in keys {
            self.pop_late(nth, now, late);
        }
        let heads = self.chains.iter().map(|(_, chain)| &self.slots[chain.head]);
        heads.map(|slot| slot.entry.deadline()).min()
    }

    /// Takes out everything: each key's events in their order.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let mut all = Vec::with_capacity(self.slots.len());
        while let Some((nth, turn)) = self.turns.pop_front() {
            let mut more = self.is_turn(nth, turn);
            while more {
                let entry;
                (entry, more) = self.pop(nth);
                all.push(entry);
            }
        }
        all
    }

    fn is_turn(&self, nth: usize, turn: u64) -> bool {
        self.chains.get(nth).is_some_and(|chain| chain.turn == turn)
    }

    fn head(&self, nth: usize) -> &Entry {
        &self.slots[self.chains[nth].head].entry
    }

    /// Whether anything is left. Those of one key are in the order of their deadlines.
    fn pop_late(&mut self, nth: usize, now: Instant, late: &mut Vec<Entry>) -> bool {
        while self.head(nth).is_late(now) {
            let (entry, more) = self.pop(nth);
            late.push(entry);
            if !more {
                return false;
            }
        }
        true
    }

    /// The first event of a chain, and whether there are more; if not, the chain is gone.
    fn pop(&mut self, nth: usize) -> (Entry, bool) {
        let chain = &mut self.chains[nth];
        let Slot { entry, next } = self.slots.remove(chain.head);
        self.bytes -= entry.alone();
        match next {
            Some(next) => chain.head = next,
            None => {
                self.chains.remove(nth);
                let hash = folded(entry.hash, self.secret);
                if let Ok(found) = self.keys.find_entry(hash, |other| *other == nth) {
                    found.remove();
                }
            }
        }
        (entry, next.is_some())
    }

    /// The chain of a key; if it is new, it holds the event `at` alone, and this is its turn.
    fn chain_of(&mut self, hash: u128, at: usize) -> (usize, Option<u64>) {
        let Self {
            keys,
            chains,
            secret,
            ..
        } = self;
        let found = keys.entry(
            folded(hash, *secret),
            |nth| chains[*nth].hash == hash,
            |nth| folded(chains[*nth].hash, *secret),
        );
        match found {
            hash_table::Entry::Occupied(found) => (*found.get(), None),
            hash_table::Entry::Vacant(vacant) => {
                self.last_turn += 1;
                let turn = self.last_turn;
                let nth = chains.vacant_key();
                vacant.insert(nth);
                chains.insert(Chain {
                    hash,
                    head: at,
                    tail: at,
                    turn,
                });
                (nth, Some(turn))
            }
        }
    }
}

/// A key's MD5 is spread well already; a secret keeps strangers from finding keys that collide.
fn folded(hash: u128, secret: [u64; 2]) -> u64 {
    let [low, high] = [hash as u64 ^ secret[0], (hash >> 64) as u64 ^ secret[1]];
    let product = u128::from(low) * u128::from(high);
    product as u64 ^ (product >> 64) as u64
}

/// The records of a request, as they are filled.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) entries: Vec<Entry>,
    pub(super) records: Vec<Planned>,
    pub(super) late: Vec<Entry>,
    /// Of the closed records.
    bytes: usize,
    /// Of the record that is being filled: where it begins, its most bytes.
    from: usize,
    size: usize,
    mixed: bool,
}

enum Fit {
    Here,
    /// Into the next record.
    New,
    /// Not into this request.
    Not,
}

impl Taken {
    fn is_open(&self) -> bool {
        self.entries.len() > self.from
    }

    /// Whether the request has room for an event of a key that it has nothing of.
    fn has_room(&self, most: &Most, entry: &Entry) -> bool {
        if self.entries.is_empty() {
            return true;
        }
        let new = self.records.len() + usize::from(self.is_open()) < most.records
            && self.bytes + self.size + entry.alone() <= most.bytes;
        new || most.together == Together::Shard && matches!(self.fit(most, entry, false), Fit::Here)
    }

    /// Where an event goes; `begun`: the record that is being filled has some of its key.
    fn fit(&self, most: &Most, entry: &Entry, begun: bool) -> Fit {
        if !self.is_open() {
            // A key's record that is closed is full.
            return if begun { Fit::Not } else { Fit::Here };
        }
        let joins = match most.together {
            Together::Off => false,
            Together::Key => begun,
            Together::Shard => true,
        };
        let size = self.joined(entry);
        if joins && size <= most.record && self.bytes + size <= most.bytes {
            return Fit::Here;
        }
        if begun { Fit::Not } else { Fit::New }
    }

    /// The most bytes of the record that is being filled, with one event more.
    fn joined(&self, entry: &Entry) -> usize {
        let record = &self.entries[self.from..];
        let mut size = self.size;
        if let [lone] = record {
            // Alone it had neither tables nor a digest.
            size = lone.key_len() + lone.key_among_others() + lone.among_others() + FRAME;
        }
        let other = record.last().is_none_or(|last| last.hash != entry.hash);
        size + entry.among_others() + if other { entry.key_among_others() } else { 0 }
    }

    fn add(&mut self, entry: Entry) {
        if self.is_open() {
            self.size = self.joined(&entry);
            self.mixed |= self.entries[self.from].hash != entry.hash;
        } else {
            self.size = entry.alone();
        }
        self.entries.push(entry);
    }

    fn close(&mut self) {
        if !self.is_open() {
            return;
        }
        self.records.push(Planned {
            entries: self.from..self.entries.len(),
            mixed: self.mixed,
        });
        self.bytes += self.size;
        self.from = self.entries.len();
        self.size = 0;
        self.mixed = false;
    }
}

/// Magic and digest of an aggregate.
const FRAME: usize = 20;
