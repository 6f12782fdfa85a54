//! What goes out to a reader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::key::Listed;
use super::{Backlog, Delivery, Entry, Lease, Room, State, Ticket};

/// Among so many in front one without an order is picked.
const NEAR: usize = 8;

/// What is being taken.
struct Taken {
    reader: u64,
    room: Room,
    until: Instant,
    deliveries: Vec<Delivery>,
}

impl Taken {
    /// The last one may be larger than the room: as with the service's bound, which stops at so many bytes or more.
    fn is_open(&self) -> bool {
        self.room.messages > 0 && self.room.bytes > 0
    }
}

impl Backlog {
    /// What a reader may have now, up to `room` and its own bounds, each to be acknowledged within `deadline`. Of one key as
    /// many as there are, in order. If there is nothing, the reader is idle until it is woken.
    pub(in super::super) fn take(
        &mut self,
        reader: u64,
        room: Room,
        deadline: Duration,
        now: Instant,
    ) -> Vec<Delivery> {
        let mut taken = Taken {
            reader,
            room: self.room_of(reader, room),
            until: now + deadline,
            deliveries: Vec::new(),
        };
        self.loose_first = !self.loose_first;
        if self.loose_first {
            self.take_loose(&mut taken);
        }
        while taken.is_open()
            && let Some(index) = self.next_key(reader)
        {
            self.take_of_key(index, &mut taken);
        }
        if !self.loose_first {
            self.take_loose(&mut taken);
        }
        if let Some(reader) = self.readers.get_mut(&reader) {
            reader.idle = taken.deliveries.is_empty();
        }
        // There may be more, for another one.
        let more = !self.free.is_empty() || !self.loose.is_empty();
        if more && !taken.deliveries.is_empty() {
            self.wake_any();
        }
        taken.deliveries
    }

    fn room_of(&self, reader: u64, room: Room) -> Room {
        let Some(reader) = self.readers.get(&reader) else {
            return room;
        };
        let own = reader.room();
        Room {
            messages: room.messages.min(own.messages),
            bytes: room.bytes.min(own.bytes),
        }
    }

    /// A key that waits for its retry is passed over: it is listed again when its time has come.
    fn next_key(&mut self, reader: u64) -> Option<usize> {
        if let Some(own) = self.readers.get_mut(&reader) {
            while let Some(index) = own.ready.pop_front() {
                if let Some(key) = self.keys.get_mut(index)
                    && key.reader == reader
                    && key.listed == Listed::AtReader
                {
                    key.listed = Listed::Nowhere;
                    if key.held.is_none() {
                        return Some(index);
                    }
                }
            }
        }
        while let Some(index) = self.free.pop_front() {
            if let Some(key) = self.keys.get_mut(index)
                && key.listed == Listed::Free
            {
                key.listed = Listed::Nowhere;
                if key.sent == 0 && key.held.is_none() {
                    key.reader = reader;
                    key.client = self.readers.get(&reader).and_then(|own| own.client);
                    return Some(index);
                }
            }
        }
        None
    }

    fn take_of_key(&mut self, index: usize, taken: &mut Taken) {
        while taken.is_open()
            && let Some(id) = self.keys[index].next()
        {
            self.keys[index].sent += 1;
            self.send(id, taken);
        }
        self.list(index);
    }

    fn take_loose(&mut self, taken: &mut Taken) {
        while taken.is_open()
            && let Some(id) = self.next_loose()
        {
            let waits = |entry: &Entry| matches!(entry.state, State::Waiting);
            if self.entries.get(&id).is_some_and(waits) {
                self.send(id, taken);
            }
        }
    }

    /// One of the first few.
    fn next_loose(&mut self) -> Option<u64> {
        let near = self.loose.len().min(NEAR);
        let place = match near {
            0 | 1 => 0,
            _ => self.rng.random_range(0..near),
        };
        self.loose.swap_remove_front(place)
    }

    fn send(&mut self, id: u64, taken: &mut Taken) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        self.deliveries += 1;
        let lease = Lease {
            delivery: self.deliveries,
            reader: taken.reader,
            until: taken.until,
            look: taken.until,
        };
        let size = entry.message.size();
        entry.state = State::Outstanding(lease);
        self.leases.add(id, lease);
        if let Some(reader) = self.readers.get_mut(&taken.reader) {
            reader.sent(size);
        }
        taken.room.messages -= 1;
        taken.room.bytes = taken.room.bytes.saturating_sub(size);
        taken.deliveries.push(Delivery {
            message: Arc::clone(&entry.message),
            ticket: Ticket {
                message: id,
                delivery: self.deliveries,
            },
            attempt: entry.failures + 1,
            again: std::mem::replace(&mut entry.delivered, true),
        });
    }
}
