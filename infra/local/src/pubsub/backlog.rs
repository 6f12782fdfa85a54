//! What a subscription has to deliver, and has delivered: pure, without a clock and without I/O.
//!
//! Messages with an ordering key are in their key's queue, of which the first ones are with one reader and the others wait; the
//! rest wait in one queue for all readers, and go in no strict order, so that nobody counts on one. What is done looks at what it changes, and at the readers; at all that there is only a
//! seek, a client that comes again, and a cleaning, which comes after as much was done.

mod fail;
mod key;
mod leases;
mod reader;
mod seek;
mod settle;
mod take;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;

use super::message::Message;
pub(super) use fail::Dead;
use key::{Keys, Listed};
use leases::{Lease, Leases};
pub(super) use reader::{Flow, Reader};
pub(super) use seek::Target;
pub(super) use settle::Settled;

/// As many void places in a list are never worth a cleaning.
const FEW: usize = 4_096;

/// What a subscription was told to do.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Whether messages of a key are delivered in order.
    pub(super) ordered: bool,
    /// Whether acknowledged messages stay, for a seek back.
    pub(super) retain_acked: bool,
    /// How long messages stay.
    pub(super) kept: Duration,
    /// How many bytes of acknowledged messages stay at most.
    pub(super) acked_bytes: usize,
    /// The shortest and the longest wait before a failed message comes again.
    pub(super) retry: Option<(Duration, Duration)>,
    /// After how many failed deliveries a message goes to the dead-letter topic.
    pub(super) max_attempts: Option<u32>,
}

/// A delivery of a message, as its ack id names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    pub(super) message: u64,
    pub(super) delivery: u64,
}

/// A message that goes out to a reader.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) message: Arc<Message>,
    pub(super) ticket: Ticket,
    /// From 1 on: how often it failed before, and once.
    pub(super) attempt: u32,
    /// True if it went out before.
    pub(super) again: bool,
}

/// How much a reader takes at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Entry {
    message: Arc<Message>,
    /// The key that it is ordered by.
    key: Option<usize>,
    state: State,
    failures: u32,
    delivered: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Waiting,
    Outstanding(Lease),
    Acked,
}

/// A subscription's messages.
#[derive(Debug)]
pub(super) struct Backlog {
    settings: Settings,
    /// By id, which is the order of publishing.
    entries: BTreeMap<u64, Entry>,
    keys: Keys,
    /// Keys with something for any reader.
    free: VecDeque<usize>,
    /// Messages without an order that wait; some may be gone.
    loose: VecDeque<u64>,
    /// Which of these goes next.
    rng: Pcg64Mcg,
    /// Whether messages without an order go first next time.
    loose_first: bool,
    readers: FxHashMap<u64, Reader>,
    leases: Leases,
    /// What waits for its retry: a key, or a message without an order.
    later: BTreeSet<(Instant, Later)>,
    acked: BTreeSet<u64>,
    acked_bytes: usize,
    /// Without their keys.
    unacked_bytes: usize,
    /// Messages published before count as acknowledged: a seek to a time to come.
    discarded: Option<SystemTime>,
    deliveries: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Later {
    Key(usize),
    Loose(u64),
}

impl Backlog {
    /// Messages without an order come in one that `seed` decides.
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        Backlog {
            settings,
            entries: BTreeMap::new(),
            keys: Keys::default(),
            free: VecDeque::new(),
            loose: VecDeque::new(),
            rng: Pcg64Mcg::seed_from_u64(seed),
            loose_first: false,
            readers: FxHashMap::default(),
            leases: Leases::default(),
            later: BTreeSet::new(),
            acked: BTreeSet::new(),
            acked_bytes: 0,
            unacked_bytes: 0,
            discarded: None,
            deliveries: 0,
        }
    }

    /// Changes everything but whether it is ordered, which can't be changed. Where acknowledged messages don't stay any more,
    /// those that did go.
    pub(super) fn set(&mut self, settings: Settings) {
        while !settings.retain_acked
            && let Some(&id) = self.acked.first()
        {
            self.forget(id);
        }
        self.settings = Settings {
            ordered: self.settings.ordered,
            ..settings
        };
    }

    /// What is not acknowledged, in bytes.
    pub(super) fn unacked_bytes(&self) -> usize {
        self.unacked_bytes + self.keys.memory()
    }

    /// Everything that is kept, in bytes.
    pub(super) fn stored_bytes(&self) -> usize {
        self.unacked_bytes() + self.acked_bytes
    }

    /// Messages that are with readers.
    pub(super) fn outstanding(&self) -> usize {
        self.leases.live()
    }

    /// Takes in a message that was published after all that are here.
    pub(super) fn push(&mut self, message: &Arc<Message>) {
        let discarded = self.discarded.is_some_and(|time| message.published < time);
        let state = if discarded {
            State::Acked
        } else {
            State::Waiting
        };
        self.insert(message, state);
    }

    fn insert(&mut self, message: &Arc<Message>, state: State) {
        let (id, memory) = (message.id, message.memory());
        let mut entry = Entry {
            message: Arc::clone(message),
            key: None,
            state,
            failures: 0,
            delivered: false,
        };
        if let State::Acked = state {
            if self.settings.retain_acked {
                self.entries.insert(id, entry);
                self.keep_acked(id, memory);
            }
            return;
        }
        self.unacked_bytes += memory;
        if self.settings.ordered && !message.key.is_empty() {
            let key = self.keys.of(&message.key);
            entry.key = Some(key);
            self.entries.insert(id, entry);
            self.keys[key].queue.push_back(id);
            self.list(key);
        } else {
            self.entries.insert(id, entry);
            self.loose.push_back(id);
            self.wake_any();
        }
    }

    /// Offers a key where its next message may be had: while some of the key are with a reader to that one, or to another one of
    /// its client where it is gone; else to anybody.
    fn list(&mut self, index: usize) {
        let key = &mut self.keys[index];
        if !key.has_waiting() || key.held.is_some() {
            return;
        }
        if key.sent == 0 {
            if key.listed != Listed::Free {
                key.listed = Listed::Free;
                self.free.push_back(index);
                self.tidy();
            }
            self.wake_any();
            return;
        }
        if !self.readers.contains_key(&key.reader)
            && let Some(client) = key.client
            && let Some((heir, _)) = self.readers.iter().find(|(_, r)| r.client == Some(client))
        {
            key.reader = *heir;
            key.listed = Listed::Nowhere;
        }
        if let Some(reader) = self.readers.get_mut(&key.reader) {
            if key.listed != Listed::AtReader {
                key.listed = Listed::AtReader;
                reader.ready.push_back(index);
            }
            reader.wake();
        }
    }

    /// Drops void places in the list for all readers, where they have become many: of keys that went without a reader.
    fn tidy(&mut self) {
        if self.free.len() > 2 * self.keys.len() + FEW {
            let mut seen = FxHashSet::default();
            let keys = &mut self.keys;
            self.free.retain(|index| {
                let listed = keys.get_mut(*index).map(|key| key.listed);
                listed == Some(Listed::Free) && seen.insert(*index)
            });
        }
    }

    fn wake_any(&mut self) {
        if let Some(reader) = self.readers.values_mut().find(|r| r.is_idle_with_room()) {
            reader.wake();
        }
    }

    /// Lets a reader take part, of a client that may have been here before; `wake` is notified when there may be something for
    /// it.
    pub(super) fn attach(&mut self, id: u64, client: Option<u64>, flow: Flow, wake: Arc<Notify>) {
        self.readers.insert(id, Reader::new(client, flow, wake));
        if client.is_none() {
            return;
        }
        let own = self.keys.iter().filter(|(_, key)| key.client == client);
        let own: Vec<usize> = own.map(|(index, _)| index).collect();
        for index in own {
            self.list(index);
        }
    }

    /// What the reader has stays with it until it is acknowledged, or its deadline passes.
    pub(super) fn detach(&mut self, id: u64) {
        let Some(reader) = self.readers.remove(&id) else {
            return;
        };
        for index in reader.ready {
            let Some(key) = self.keys.get_mut(index) else {
                continue;
            };
            if key.reader == id && key.listed == Listed::AtReader {
                key.listed = Listed::Nowhere;
                self.list(index);
            }
        }
        // It may have been woken for something that another one has to take now.
        self.wake_any();
    }

    /// Wakes all readers: something about the subscription has changed.
    pub(super) fn wake_all(&mut self) {
        self.readers.values_mut().for_each(Reader::wake);
    }

    /// Gives back what a delivery took of its reader's room.
    fn release(&mut self, lease: Lease, size: usize) {
        self.leases.drop_one();
        if let Some(reader) = self.readers.get_mut(&lease.reader) {
            reader.done(size);
        }
    }

    /// Forgets messages that are past retention; how many of them were not acknowledged. These stay for as long as the topic
    /// keeps its own, too.
    pub(super) fn trim(&mut self, topic: Option<Duration>, now: SystemTime) -> u64 {
        let own = self.settings.kept;
        let kept = topic.map_or(own, |topic| topic.max(own));
        while let Some(&id) = self.acked.first()
            && is_past(&self.entries[&id].message, own, now)
        {
            self.forget(id);
        }
        let mut lost = 0;
        while let Some((&id, entry)) = self.entries.first_key_value()
            && is_past(&entry.message, kept, now)
        {
            lost += 1;
            self.forget(id);
        }
        // Those that are gone are the oldest ones, and in front but for a few.
        while let Some(id) = self.loose.front()
            && !self.entries.contains_key(id)
        {
            self.loose.pop_front();
        }
        lost
    }

    /// Removes a message, whatever its state.
    fn forget(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        let (size, memory) = (entry.message.size(), entry.message.memory());
        match entry.state {
            State::Acked => {
                self.acked.remove(&id);
                self.acked_bytes -= memory;
                return;
            }
            State::Outstanding(lease) => self.release(lease, size),
            State::Waiting => {}
        }
        self.unacked_bytes -= memory;
        if let Some(index) = entry.key {
            self.keys[index].remove(id);
            self.settle_key(index);
        }
    }

    /// After something of a key went: offers what is left, or forgets the key.
    fn settle_key(&mut self, index: usize) {
        if self.keys[index].queue.is_empty() {
            self.keys.forget(index);
        } else {
            self.list(index);
        }
    }

    /// An acknowledged message stays; the oldest ones go where there are too many.
    fn keep_acked(&mut self, id: u64, memory: usize) {
        self.acked.insert(id);
        self.acked_bytes += memory;
        while self.acked_bytes > self.settings.acked_bytes
            && let Some(&oldest) = self.acked.first()
        {
            self.forget(oldest);
        }
    }

    /// The messages that are not acknowledged, oldest first.
    pub(super) fn unacked(&self) -> impl Iterator<Item = &Arc<Message>> {
        let unacked = |entry: &&Entry| !matches!(entry.state, State::Acked);
        self.entries
            .values()
            .filter(unacked)
            .map(|entry| &entry.message)
    }

    /// Forgets everything: the subscription is detached.
    pub(super) fn clear(&mut self) {
        while let Some((&id, _)) = self.entries.first_key_value() {
            self.forget(id);
        }
        self.loose.clear();
        self.free.clear();
        self.later.clear();
    }
}

fn is_past(message: &Message, kept: Duration, now: SystemTime) -> bool {
    now.duration_since(message.published).unwrap_or_default() >= kept
}
