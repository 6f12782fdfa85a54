//! The queues of ordering keys.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;
use slab::Slab;

use crate::pubsub::message::key_memory;

/// Where a key is offered; its entry in another list is void then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Nowhere,
    /// To all readers.
    Free,
    /// To the one that has some of it.
    AtReader,
}

/// The messages of one key that are not acknowledged.
#[derive(Debug)]
pub(super) struct Key {
    name: Arc<str>,
    /// Ids, rising: what was sent first, then what waits.
    pub(super) queue: VecDeque<u64>,
    /// How many of the queue are with the reader.
    pub(super) sent: usize,
    /// Who has them, where there are any.
    pub(super) reader: u64,
    /// Whose reader that is, if it may come again.
    pub(super) client: Option<u64>,
    pub(super) listed: Listed,
    /// Until when it waits for a retry.
    pub(super) held: Option<Instant>,
}

impl Key {
    pub(super) fn has_waiting(&self) -> bool {
        self.sent < self.queue.len()
    }

    /// The next one to go out.
    pub(super) fn next(&self) -> Option<u64> {
        self.queue.get(self.sent).copied()
    }

    pub(super) fn place(&self, id: u64) -> Option<usize> {
        self.queue.binary_search(&id).ok()
    }

    /// Takes a message out, wherever it is.
    pub(super) fn remove(&mut self, id: u64) {
        if let Some(place) = self.place(id) {
            self.queue.remove(place);
            self.sent -= usize::from(place < self.sent);
        }
    }
}

/// All keys that have messages, by number.
#[derive(Debug, Default)]
pub(super) struct Keys {
    slab: Slab<Key>,
    by_name: FxHashMap<Arc<str>, usize>,
    memory: usize,
}

impl Keys {
    /// The number of a key, from now on if it has none.
    pub(super) fn of(&mut self, name: &str) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let name: Arc<str> = name.into();
        let index = self.slab.insert(Key {
            name: Arc::clone(&name),
            queue: VecDeque::new(),
            sent: 0,
            reader: 0,
            client: None,
            listed: Listed::Nowhere,
            held: None,
        });
        self.memory += key_memory(&name);
        self.by_name.insert(name, index);
        index
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// What they take beside their messages, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Key)> {
        self.slab.iter()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Key> {
        self.slab.get_mut(index)
    }

    pub(super) fn forget(&mut self, index: usize) {
        if let Some(key) = self.slab.try_remove(index) {
            self.by_name.remove(&key.name);
            self.memory -= key_memory(&key.name);
        }
    }

    pub(super) fn clear(&mut self) {
        self.slab.clear();
        self.by_name.clear();
        self.memory = 0;
    }
}

impl Index<usize> for Keys {
    type Output = Key;

    fn index(&self, index: usize) -> &Key {
        &self.slab[index]
    }
}

impl IndexMut<usize> for Keys {
    fn index_mut(&mut self, index: usize) -> &mut Key {
        &mut self.slab[index]
    }
}
