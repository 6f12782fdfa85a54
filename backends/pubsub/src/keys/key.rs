mod lease;

use super::{
    Handed, Message, Ref,
    entry::{Entry, State},
    finishing::Finishing,
};
use crate::message::published_at;
use anyhub_core::{Key, driver::Sequence};
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// One ordering key.
///
/// Its entries are, in this order: acknowledged and on their way to the service, or about to be; handed on, some of
/// them acknowledged; to be handed on; and, after a nack, what waits to come again.
#[derive(Debug, Default)]
pub(super) struct KeyLane {
    key: Option<Key>,
    epoch: u32,
    entries: VecDeque<Entry>,
    /// The sequence number of the first entry.
    base: u64,
    /// So many are acknowledged with all before them.
    prefix: usize,
    /// So many were handed on.
    handed: usize,
    /// So many were handed on or are to be; the others wait to come again.
    queued: usize,
    nack: Option<Nack>,
    /// Counts what was nacked at the service.
    asked: u32,
    /// Counts deliveries.
    nonce: u32,
    /// Messages that were to be handed on when there was no room.
    parked: usize,
    /// The last ones that were acknowledged at the service.
    gone: VecDeque<u64>,
    /// Since when the oldest that was handed on waits for its ack.
    waits: Option<Instant>,
    /// Whether that was told.
    told: bool,
}

/// So many are remembered: the service goes back that far and is understood.
const REMEMBERED: usize = 32;
/// What was published so long before the newest that is here is older than all that is here.
const OLDER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum Nack {
    Waits(Instant),
    /// On its way to the service.
    Sent,
    /// The service has taken it.
    Told,
}

/// What follows from an arrival.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    /// So many more may be handed on.
    pub(super) ready: usize,
    /// To be nacked at the service, so that they come again.
    pub(super) bounce: Vec<String>,
}

pub(super) type Ids = FxHashMap<u64, (u32, u64)>;

impl KeyLane {
    pub(super) fn begin(&mut self, key: Key) {
        self.key = Some(key);
    }

    /// Forgets all; its key, if it had one.
    pub(super) fn end(&mut self) -> Option<Key> {
        let epoch = self.epoch.wrapping_add(1);
        let ended = std::mem::take(self);
        self.epoch = epoch;
        ended.key
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn arrive(
        &mut self,
        lane: u32,
        message: Message,
        now: Instant,
        ids: &mut Ids,
    ) -> Arrival {
        if let Some((_, seq)) = ids.get(&message.id) {
            let index = (seq - self.base) as usize;
            match self.entries[index].state {
                state @ (State::Queued | State::Delivered | State::Held) => {
                    self.entries[index].refresh(message.ack_id, message.tries, now);
                    // It may have been passed over, its time being over.
                    return Arrival {
                        ready: usize::from(state == State::Queued),
                        bounce: Vec::new(),
                    };
                }
                State::Due => return self.due_again(lane, index, message, now, ids),
                // The service goes back to it, although it is acknowledged here: a deadline has passed, or somebody has
                // sought. What it gives from here on is new.
                State::Acked | State::Acking | State::Gone => self.truncate(index, ids),
            }
        } else if self.is_older(&message) {
            self.truncate(0, ids);
        }
        let seq = self.base + self.entries.len() as u64;
        ids.insert(message.id, (lane, seq));
        match self.nack {
            None => {
                self.entries
                    .push_back(Entry::new(message, State::Queued, now));
                self.queued = self.entries.len();
                Arrival {
                    ready: 1,
                    bounce: Vec::new(),
                }
            }
            Some(Nack::Waits(_)) => {
                self.entries
                    .push_back(Entry::new(message, State::Held, now));
                Arrival::default()
            }
            Some(Nack::Sent | Nack::Told) => {
                let entry = Entry::new(message, State::Due, now);
                self.entries.push_back(entry);
                self.early(self.entries.len() - 1, now)
            }
        }
    }

    /// Whether the service goes back to a place before all that is here. Ids and times within a moment say nothing
    /// about order.
    fn is_older(&self, message: &Message) -> bool {
        let Some(last) = self.entries.back() else {
            return false;
        };
        self.gone.contains(&message.id)
            || published_at(message.at)
                .zip(published_at(last.at))
                .is_some_and(|(this, last)| this + OLDER < last)
    }

    /// One that waited to come again came.
    fn due_again(
        &mut self,
        lane: u32,
        index: usize,
        message: Message,
        now: Instant,
        ids: &mut Ids,
    ) -> Arrival {
        if index > self.queued {
            if self.has_been_heard(index, message.tries) {
                self.nack = Some(Nack::Told);
            }
            if !self.comes_first(index) {
                let entry = &mut self.entries[index];
                (entry.ack_id, entry.tries) = (message.ack_id, message.tries);
                return self.early(index, now);
            }
            self.forget(lane, index, ids);
        }
        let index = self.queued;
        self.entries[index].again(message, now);
        self.queued += 1;
        if self.queued == self.entries.len() {
            self.nack = None;
        }
        Arrival {
            ready: 1,
            bounce: Vec::new(),
        }
    }

    /// Whether this one shows that the service has heard of the last nack, though its answer has not come: it was sent back
    /// by that, and is tried once more. To send it back for want of an answer would use its tries up.
    fn has_been_heard(&self, index: usize, tries: u32) -> bool {
        let entry = &self.entries[index];
        matches!(self.nack, Some(Nack::Sent))
            && entry.sent_back == Some(self.asked)
            && tries > entry.tries
    }

    /// Whether nothing before this one will come again: it was finished elsewhere, or is gone. The service gives a key in
    /// order, so that what it still has of it would have come before this one: it has not since this one was sent back,
    /// and was not sent back with it either, so that this one can't have been under way before that.
    fn comes_first(&self, index: usize) -> bool {
        let sent_back = self.entries[index].sent_back;
        let before = |entry: &Entry| !entry.came && entry.sent_back < sent_back;
        matches!(self.nack, Some(Nack::Told))
            && sent_back.is_some()
            && self.entries.range(self.queued..index).all(before)
    }

    /// One came before what has to come first: it was under way when that was nacked, or that won't come.
    fn early(&mut self, index: usize, now: Instant) -> Arrival {
        let entry = &mut self.entries[index];
        (entry.came, entry.due) = (true, now);
        Arrival {
            ready: 0,
            bounce: self.send_back(),
        }
    }

    /// Sends back all that came too early, so that it comes again: behind what it waits for, or without it. Not as long
    /// as the service may not have heard of the last nack.
    fn send_back(&mut self) -> Vec<String> {
        if !matches!(self.nack, Some(Nack::Told)) {
            return Vec::new();
        }
        let asked = self.asked + 1;
        let early = self.entries.range_mut(self.queued..);
        let early = early.filter(|entry| entry.came).map(|entry| {
            (entry.came, entry.sent_back) = (false, Some(asked));
            entry.ack_id.clone()
        });
        let early: Vec<_> = early.collect();
        if !early.is_empty() {
            (self.nack, self.asked) = (Some(Nack::Sent), asked);
        }
        early
    }

    /// Forgets what waits to come again and stands before `index`.
    fn forget(&mut self, lane: u32, index: usize, ids: &mut Ids) {
        for entry in self.entries.drain(self.queued..index) {
            ids.remove(&entry.id);
        }
        for (nth, entry) in self.entries.iter().enumerate().skip(self.queued) {
            ids.insert(entry.id, (lane, self.base + nth as u64));
        }
    }

    /// Forgets everything from `index` on.
    fn truncate(&mut self, index: usize, ids: &mut Ids) {
        for entry in self.entries.drain(index..) {
            ids.remove(&entry.id);
        }
        self.gone.clear();
        if index <= self.prefix {
            self.waits = None;
        }
        self.prefix = self.prefix.min(index);
        self.handed = self.handed.min(index);
        self.queued = self.queued.min(index);
        let waits = matches!(self.nack, Some(Nack::Waits(_)));
        // What is nacked stands first of what was not queued.
        if self.queued == self.entries.len() || (waits && self.entries.len() <= self.handed) {
            self.nack = None;
        }
    }

    /// The next message, if it may be handed on.
    pub(super) fn hand(
        &mut self,
        lane: u32,
        most: usize,
        lease: Duration,
        now: Instant,
    ) -> Option<Handed> {
        if self.handed >= self.queued {
            return None;
        }
        if self.handed - self.prefix >= most {
            self.parked += 1;
            return None;
        }
        let entry = &mut self.entries[self.handed];
        if entry.has_lapsed(lease, now) {
            return None;
        }
        self.nonce = self.nonce.wrapping_add(1);
        let seq = self.base + self.handed as u64;
        let handed = entry.hand(lane, self.epoch, seq, self.nonce);
        self.handed += 1;
        self.waits.get_or_insert(now);
        handed
    }

    /// How many may be handed on now that had no room before.
    pub(super) fn unpark(&mut self, most: usize) -> usize {
        let room = most.saturating_sub(self.handed - self.prefix);
        let some = self.parked.min(room);
        self.parked -= some;
        some
    }

    fn index(&self, of: Ref) -> Option<usize> {
        let index = usize::try_from(of.seq.checked_sub(self.base)?).ok()?;
        (of.epoch == self.epoch && index < self.entries.len()).then_some(index)
    }

    /// The delivery of a token, if the application has it and it is still this consumer's.
    fn delivered(&self, of: Ref, lease: Duration, now: Instant) -> Option<usize> {
        let index = self.index(of)?;
        let entry = &self.entries[index];
        (entry.is_delivered_as(of) && !entry.has_lapsed(lease, now)).then_some(index)
    }

    pub(super) fn ack(
        &mut self,
        of: Ref,
        lease: Duration,
        now: Instant,
        finished: &mut Finishing,
    ) -> bool {
        let Some(index) = self.delivered(of, lease, now) else {
            return false;
        };
        self.entries[index].state = State::Acked;
        let before = self.prefix;
        while let Some(entry) = self.entries.get(self.prefix)
            && entry.state == State::Acked
        {
            let seq = self.base + self.prefix as u64;
            finished.push(entry.reference(of.lane, self.epoch, seq), entry.bytes());
            self.prefix += 1;
        }
        if self.prefix > before {
            self.waits = (self.handed > self.prefix).then_some(now);
            self.told = false;
        }
        true
    }

    pub(super) fn nack(
        &mut self,
        of: Ref,
        lease: Duration,
        now: Instant,
        due: impl FnOnce(u32) -> Instant,
    ) -> bool {
        let Some(index) = self.delivered(of, lease, now) else {
            return false;
        };
        let due = due(self.entries[index].attempt);
        self.hold(index, due);
        self.parked = 0;
        true
    }

    /// What stands at `index` and behind is nacked once that is due.
    fn hold(&mut self, index: usize, due: Instant) {
        for entry in self.entries.range_mut(index..) {
            entry.hold();
        }
        // One that waits already, and this one waits no shorter for the other.
        let due = match self.nack {
            Some(Nack::Waits(other)) => due.max(other),
            _ => due,
        };
        self.nack = Some(Nack::Waits(due));
        self.handed = self.handed.min(index);
        self.queued = self.queued.min(index);
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        match self.nack {
            Some(Nack::Waits(due)) => Some(due),
            _ => None,
        }
    }

    pub(super) fn has_unsent_nack(&self) -> bool {
        self.next_due().is_some()
    }

    /// What to nack at the service, if that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<String> {
        self.next_due().filter(|due| *due <= now)?;
        let first = self.entries.get(self.queued)?;
        let ack_id = first.ack_id.clone();
        for entry in self.entries.range_mut(self.queued..) {
            entry.let_go(now);
        }
        self.nack = Some(Nack::Sent);
        self.asked += 1;
        Some(ack_id)
    }

    /// Which of the lane's nacks was the last one.
    pub(super) fn asked(&self) -> u32 {
        self.asked
    }

    /// The service has heard of the nack; what to nack next.
    pub(super) fn nack_told(&mut self, asked: u32) -> Vec<String> {
        if !matches!(self.nack, Some(Nack::Sent)) || self.asked != asked {
            return Vec::new();
        }
        self.nack = Some(Nack::Told);
        self.send_back()
    }

    /// The ack id of what is finished; None where that is not so any more.
    pub(super) fn acking(&mut self, of: Ref) -> Option<String> {
        let entry = self.get_mut(of)?;
        matches!(entry.state, State::Acked | State::Acking).then(|| {
            entry.state = State::Acking;
            entry.ack_id.clone()
        })
    }

    /// True where nothing is left.
    pub(super) fn acked(&mut self, of: Ref, ids: &mut Ids) -> bool {
        if let Some(entry) = self.get_mut(of)
            && entry.state == State::Acking
        {
            entry.state = State::Gone;
            entry.leased = None;
        }
        while let Some(entry) = self
            .entries
            .pop_front_if(|entry| entry.state == State::Gone)
        {
            ids.remove(&entry.id);
            if self.gone.len() == REMEMBERED {
                self.gone.pop_front();
            }
            self.gone.push_back(entry.id);
            self.base += 1;
            self.prefix -= 1;
            self.handed -= 1;
            self.queued -= 1;
        }
        self.entries.is_empty()
    }

    pub(super) fn get_mut(&mut self, of: Ref) -> Option<&mut Entry> {
        let index = self.index(of)?;
        Some(&mut self.entries[index]).filter(|entry| entry.nonce == of.nonce)
    }

    /// Whether the oldest has waited for its ack, or its nacks have followed one another, for so long.
    pub(super) fn stands(&self, time: Duration, now: Instant) -> bool {
        self.waits.is_some_and(|since| since + time <= now)
    }

    /// The same, once.
    pub(super) fn is_news(&mut self, time: Duration, now: Instant) -> bool {
        let news = !self.told && self.stands(time, now);
        self.told |= news;
        news
    }

    /// Forgets what waits behind that; the first of it, to be nacked at the service, which gives all of it again.
    pub(super) fn shed(&mut self, ids: &mut Ids) -> Option<String> {
        let first = match self.nack {
            None => self.handed,
            // Behind the nacked one, which keeps the key's place at the service.
            Some(Nack::Waits(_)) => self.queued + 1,
            Some(Nack::Sent | Nack::Told) => return None,
        };
        let ack_id = self.entries.get(first)?.ack_id.clone();
        let gone = std::mem::take(&mut self.gone);
        self.truncate(first, ids);
        (self.gone, self.parked) = (gone, 0);
        Some(ack_id)
    }

    pub(super) fn set_aside(&mut self) {
        for entry in &mut self.entries {
            entry.aside = true;
        }
    }

    pub(super) fn each(&self, mut each: impl FnMut(&Entry, u64)) {
        for (nth, entry) in self.entries.iter().enumerate() {
            each(entry, self.base + nth as u64);
        }
    }

    pub(super) fn has_acks(&self) -> bool {
        let acked = |entry: &Entry| matches!(entry.state, State::Acked | State::Acking);
        self.entries.iter().any(acked)
    }

    pub(super) fn unfinished(&self) -> (Option<Sequence>, usize) {
        let first = self
            .entries
            .get(self.prefix)
            .filter(|_| self.handed > self.prefix);
        (first.map(|entry| entry.at), self.handed - self.prefix)
    }
}
