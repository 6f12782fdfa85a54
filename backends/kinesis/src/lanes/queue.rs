//! The events that wait in one lane: by key in their order, keys in turn.

use super::{
    entry::Entry,
    request::{Planned, Together},
};
use slab::Slab;
use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

/// All is O(1) for each event; once it has grown, nothing is allocated for one.
#[derive(Debug, Default)]
pub(super) struct Queue {
    slots: Slab<Slot>,
    /// Of each key that has events here, the chain of them.
    chains: HashMap<u128, Chain>,
    /// Whose turn it is; what a chain doesn't confirm is out of date.
    turns: VecDeque<(u128, u64)>,
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
        match self.chains.get_mut(&hash) {
            Some(chain) => {
                self.slots[chain.tail].next = Some(at);
                chain.tail = at;
            }
            None => {
                let turn = self.new_chain(hash, at);
                self.turns.push_back((hash, turn));
            }
        }
    }

    /// Before all of their keys, in this order, and their keys have the next turns.
    pub(super) fn put_back(&mut self, entries: Vec<Entry>) {
        let mut key = None;
        for entry in entries.into_iter().rev() {
            self.bytes += entry.alone();
            let hash = entry.hash;
            let at = self.slots.insert(Slot { entry, next: None });
            let Some(chain) = self.chains.get_mut(&hash) else {
                let turn = self.new_chain(hash, at);
                self.turns.push_front((hash, turn));
                key = Some(hash);
                continue;
            };
            self.slots[at].next = Some(chain.head);
            chain.head = at;
            if key != Some(hash) {
                self.last_turn += 1;
                chain.turn = self.last_turn;
                self.turns.push_front((hash, self.last_turn));
                key = Some(hash);
            }
        }
    }

    /// Takes out what the next request is to hold: in each key's order, of each key events for no
    /// more than one record.
    pub(super) fn take(&mut self, most: &Most, taken: &mut Taken) {
        let mut held = Vec::new();
        while let Some((hash, turn)) = self.turns.pop_front() {
            if self
                .chains
                .get(&hash)
                .is_none_or(|chain| chain.turn != turn)
            {
                continue;
            }
            self.pop_late(hash, most.now, &mut taken.late);
            let Some(chain) = self.chains.get(&hash) else {
                continue;
            };
            let first = &self.slots[chain.head].entry;
            if !taken.has_room(most, first) {
                self.turns.push_front((hash, turn));
                break;
            }
            if self.take_key(hash, most, taken) {
                #[cfg(test)]
                if most.again {
                    self.turns.push_back((hash, turn));
                    taken.close();
                    continue;
                }
                held.push((hash, turn));
            }
        }
        taken.close();
        self.turns.extend(held);
    }

    /// True if the key has more.
    fn take_key(&mut self, hash: u128, most: &Most, taken: &mut Taken) -> bool {
        let mut begun = false;
        while let Some(chain) = self.chains.get(&hash) {
            let next = &self.slots[chain.head].entry;
            match taken.fit(most, next, begun) {
                Fit::Here => {}
                Fit::New => taken.close(),
                Fit::Not => return true,
            }
            begun = true;
            if let Some(entry) = self.pop(hash) {
                taken.add(entry);
            }
        }
        false
    }

    /// Takes out what is late; the earliest deadline of the rest.
    pub(super) fn late(&mut self, now: Instant, late: &mut Vec<Entry>) -> Option<Instant> {
        let is_late = |(hash, chain): (&u128, &Chain)| {
            let head = &self.slots[chain.head].entry;
            head.is_late(now).then_some(*hash)
        };
        let keys: Vec<u128> = self.chains.iter().filter_map(is_late).collect();
        for hash in keys {
            self.pop_late(hash, now, late);
        }
        let heads = self.chains.values().map(|chain| &self.slots[chain.head]);
        heads.map(|slot| slot.entry.deadline()).min()
    }

    /// Takes out everything: each key's events in their order.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let mut all = Vec::with_capacity(self.slots.len());
        while let Some((hash, turn)) = self.turns.pop_front() {
            if self
                .chains
                .get(&hash)
                .is_some_and(|chain| chain.turn == turn)
            {
                while let Some(entry) = self.pop(hash) {
                    all.push(entry);
                }
            }
        }
        all
    }

    // Those of one key are in the order of their deadlines.
    fn pop_late(&mut self, hash: u128, now: Instant, late: &mut Vec<Entry>) {
        while let Some(chain) = self.chains.get(&hash)
            && self.slots[chain.head].entry.is_late(now)
        {
            late.extend(self.pop(hash));
        }
    }

    fn pop(&mut self, hash: u128) -> Option<Entry> {
        let chain = self.chains.get_mut(&hash)?;
        let slot = self.slots.remove(chain.head);
        match slot.next {
            Some(next) => chain.head = next,
            None => {
                self.chains.remove(&hash);
            }
        }
        self.bytes -= slot.entry.alone();
        Some(slot.entry)
    }

    fn new_chain(&mut self, hash: u128, at: usize) -> u64 {
        self.last_turn += 1;
        let turn = self.last_turn;
        let chain = Chain {
            head: at,
            tail: at,
            turn,
        };
        self.chains.insert(hash, chain);
        turn
    }
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
