mod gone;
mod lease;
mod nacks;

use super::{
    Handed, Message, Ref,
    entry::{Entry, State},
    finishing::Finishing,
};
use anyhub_core::{Key, driver::Sequence};
use gone::{Gone, is_older};
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
    gone: Gone,
    /// After so many tries the service gives a message up.
    buries: Option<u32>,
    /// Since when the oldest that was handed on waits for its ack.
    waits: Option<Instant>,
    /// Whether that was told.
    told: bool,
    /// Messages whose acks don't count: they, or what stands before them, have come again.
    lost: Vec<u64>,
}

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
    /// `buries`: after so many tries the service gives a message up.
    pub(super) fn begin(&mut self, key: Key, buries: Option<u32>) {
        self.key = Some(key);
        self.buries = buries;
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
                State::Due => return self.due_again(lane, index, message, now, ids),
                state
                    if state == State::Held
                        || self.replayed(index).is_none() && state == State::Queued =>
                {
                    self.entries[index].refresh(message.ack_id, message.tries, now);
                    // It may have been passed over, its time being over, and what is behind it with it.
                    let ready = match state {
                        State::Queued => 1 + std::mem::take(&mut self.parked),
                        _ => 0,
                    };
                    return Arrival {
                        ready,
                        bounce: Vec::new(),
                    };
                }
                // The service goes back to it, although it is this consumer's: a deadline has passed, or somebody has
                // sought.
                _ => match self.replayed(index) {
                    // It had before, to what was not known any more, and has come here again.
                    Some(first) => self.forget_before(first, ids),
                    None => return self.again_from(index, message, now),
                },
            }
        } else if self.gone.take_back(&message) {
            match self.replayed(0) {
                Some(first) => self.forget_before(first, ids),
                None => self.truncate(0, ids),
            }
        } else if let Some(index) = self.goes_back_to(&message) {
            if index == 0 {
                self.gone.clear();
            }
            self.truncate(index, ids);
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

    /// Before what the service goes back with a message that is not known: what is surely newer, or what waits to come
    /// again and would have come first.
    fn goes_back_to(&self, message: &Message) -> Option<usize> {
        self.entries.back().filter(|last| message.at < last.at)?;
        let waits = matches!(self.nack, Some(Nack::Sent | Nack::Told));
        let mut entries = self.entries.iter().enumerate();
        let comes_later = |nth: usize, at| {
            is_older(message.at, at) || waits && nth >= self.queued && message.at < at
        };
        entries
            .find(|(nth, entry)| comes_later(*nth, entry.at))
            .map(|(nth, _)| nth)
    }

    /// Where what is behind `index` was published before what it stands behind: the service went back there.
    fn replayed(&self, index: usize) -> Option<usize> {
        let later = index + 1..self.entries.len();
        let mut later = later.rev();
        later.find(|nth| self.entries[*nth].at < self.entries[nth - 1].at)
    }

    /// Forgets everything before `index`: it comes again behind what stands there.
    fn forget_before(&mut self, index: usize, ids: &mut Ids) {
        for entry in self.entries.drain(..index) {
            ids.remove(&entry.id);
            self.lost.extend(entry.acked());
        }
        self.base += index as u64;
        self.prefix = self.prefix.saturating_sub(index);
        self.handed = self.handed.saturating_sub(index);
        self.queued = self.queued.saturating_sub(index);
        if self.handed == self.prefix {
            self.waits = None;
        }
    }

    /// Forgets everything from `index` on.
    fn truncate(&mut self, index: usize, ids: &mut Ids) {
        for entry in self.entries.drain(index..) {
            ids.remove(&entry.id);
            self.lost.extend(entry.acked());
        }
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
        let entry = &mut self.entries[self.handed];
        if self.handed - self.prefix >= most || entry.has_lapsed(lease, now) {
            self.parked += 1;
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

    /// The ack id of what is finished; None where that is not so any more.
    pub(super) fn acking(&mut self, of: Ref) -> Option<String> {
        let entry = self.get_mut(of)?;
        entry.is_acked().then(|| {
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
            self.gone.push(entry.id, entry.at);
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
        self.truncate(first, ids);
        self.parked = 0;
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

    /// What gives all of it that is this consumer's back to the service: each, or the first alone where a nack uses up tries,
    /// since the others come with it.
    pub(super) fn to_give_back(&self) -> impl Iterator<Item = String> {
        let most = if self.buries.is_some() { 1 } else { usize::MAX };
        let leased = self.entries.iter().filter(|entry| entry.leased.is_some());
        leased.take(most).map(|entry| entry.ack_id.clone())
    }

    /// Where the message stands that has this sequence number.
    pub(super) fn at(&self, seq: u64) -> Option<Sequence> {
        let index = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        self.entries.get(index).map(|entry| entry.at)
    }

    pub(super) fn has_acks(&self) -> bool {
        self.entries.iter().any(Entry::is_acked)
    }

    /// Whose acks don't count any more, since this was last asked.
    pub(super) fn take_lost(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.lost)
    }

    pub(super) fn unfinished(&self) -> (Option<Sequence>, usize) {
        let first = self
            .entries
            .get(self.prefix)
            .filter(|_| self.handed > self.prefix);
        (first.map(|entry| entry.at), self.handed - self.prefix)
    }
}
