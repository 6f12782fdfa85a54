use super::{
    Handed, LOOSE, Message, Ref,
    entry::{Entry, State},
    finishing::Finishing,
};
use anyhub_core::driver::Sequence;
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What has no key: each on its own, in no order.
#[derive(Debug, Default)]
pub(super) struct Loose {
    entries: FxHashMap<u64, Entry>,
    /// Of each message: where.
    ids: FxHashMap<u64, u64>,
    queue: VecDeque<u64>,
    next: u64,
    nonce: u32,
    /// Handed on and not acknowledged.
    open: usize,
    nacks: Vec<(Instant, u64)>,
    parked: usize,
    /// Since when none of those that were handed on was acknowledged.
    waits: Option<Instant>,
    /// Whether that was told.
    told: bool,
    /// Messages whose acks don't count: they have come again.
    lost: Vec<u64>,
}

impl Loose {
    /// True where there is one more to hand on.
    pub(super) fn arrive(&mut self, message: Message, now: Instant) -> bool {
        if let Some(seq) = self.ids.get(&message.id)
            && let Some(entry) = self.entries.get_mut(seq)
        {
            match entry.state {
                State::Queued => entry.refresh(message.ack_id, message.tries, now),
                State::Held => {
                    entry.refresh(message.ack_id, message.tries, now);
                    return false;
                }
                state => {
                    self.open -= usize::from(state == State::Delivered);
                    self.lost.extend(entry.acked());
                    entry.again(message, now);
                    if self.open == 0 {
                        self.waits = None;
                    }
                }
            }
            // Also of what was to be handed on: it may have been passed over, its time being over.
            self.queue.push_back(*seq);
            return true;
        }
        let seq = self.next;
        self.next += 1;
        self.ids.insert(message.id, seq);
        self.entries
            .insert(seq, Entry::new(message, State::Queued, now));
        self.queue.push_back(seq);
        true
    }

    pub(super) fn hand(
        &mut self,
        epoch: u32,
        most: usize,
        lease: Duration,
        now: Instant,
    ) -> Option<Handed> {
        if self.open >= most {
            self.parked += 1;
            return None;
        }
        // Past what is not there any more, so that each call finds one as long as there is one.
        while let Some(seq) = self.queue.pop_front() {
            let Some(entry) = self.entries.get_mut(&seq) else {
                continue;
            };
            if entry.state == State::Queued && !entry.has_lapsed(lease, now) {
                self.nonce = self.nonce.wrapping_add(1);
                self.open += 1;
                self.waits.get_or_insert(now);
                return entry.hand(LOOSE, epoch, seq, self.nonce);
            }
        }
        None
    }

    pub(super) fn unpark(&mut self, most: usize) -> usize {
        let some = self.parked.min(most.saturating_sub(self.open));
        self.parked -= some;
        some
    }

    fn delivered(&mut self, of: Ref, lease: Duration, now: Instant) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&of.seq)?;
        (entry.is_delivered_as(of) && !entry.has_lapsed(lease, now)).then_some(entry)
    }

    pub(super) fn ack(
        &mut self,
        of: Ref,
        lease: Duration,
        now: Instant,
        finished: &mut Finishing,
    ) -> bool {
        let Some(entry) = self.delivered(of, lease, now) else {
            return false;
        };
        entry.state = State::Acked;
        finished.push(of, entry.bytes());
        self.open -= 1;
        self.waits = (self.open > 0).then_some(now);
        self.told = false;
        true
    }

    pub(super) fn nack(
        &mut self,
        of: Ref,
        lease: Duration,
        now: Instant,
        due: impl FnOnce(u32) -> Instant,
    ) -> bool {
        let Some(entry) = self.delivered(of, lease, now) else {
            return false;
        };
        entry.hold();
        let due = due(entry.attempt);
        self.nacks.push((due, of.seq));
        self.open -= 1;
        if self.open == 0 {
            self.waits = None;
        }
        true
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.nacks.iter().map(|(due, _)| *due).min()
    }

    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        let mut ack_ids = Vec::new();
        let entries = &mut self.entries;
        self.nacks.retain(|(due, seq)| {
            if *due > now {
                return true;
            }
            if let Some(entry) = entries.get_mut(seq)
                && entry.state == State::Held
            {
                ack_ids.push(entry.ack_id.clone());
                entry.let_go(now);
            }
            false
        });
        ack_ids
    }

    pub(super) fn acking(&mut self, of: Ref) -> Option<String> {
        let entry = self.get_mut(of)?;
        entry.is_acked().then(|| {
            entry.state = State::Acking;
            entry.ack_id.clone()
        })
    }

    pub(super) fn acked(&mut self, of: Ref) {
        if self
            .get_mut(of)
            .is_some_and(|entry| entry.state == State::Acking)
        {
            self.remove(of.seq);
        }
    }

    fn remove(&mut self, seq: u64) {
        if let Some(entry) = self.entries.remove(&seq)
            && self.ids.get(&entry.id) == Some(&seq)
        {
            self.ids.remove(&entry.id);
        }
    }

    pub(super) fn get_mut(&mut self, of: Ref) -> Option<&mut Entry> {
        self.entries
            .get_mut(&of.seq)
            .filter(|entry| entry.nonce == of.nonce)
    }

    /// Where the message with this id stands.
    pub(super) fn at(&self, id: u64) -> Option<Sequence> {
        let seq = self.ids.get(&id)?;
        self.entries.get(seq).map(|entry| entry.at)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len().max(self.ids.len())
    }

    pub(super) fn set_aside(&mut self) {
        for entry in self.entries.values_mut() {
            entry.aside = true;
        }
    }

    pub(super) fn each(&self, mut each: impl FnMut(&Entry, u64)) {
        for (seq, entry) in &self.entries {
            each(entry, *seq);
        }
    }

    /// Whether something was given up because its time has passed. It waits to come again: how often it was handed on is
    /// known then.
    pub(super) fn lapse(&mut self, lease: Duration, now: Instant) -> bool {
        let mut some = false;
        for entry in self.entries.values_mut() {
            if entry.has_lapsed(lease, now) {
                some = true;
                self.open -= usize::from(entry.state == State::Delivered);
                self.lost.extend(entry.acked());
                entry.hold();
                entry.let_go(now);
            }
        }
        if self.open == 0 {
            self.waits = None;
        }
        some
    }

    /// Whose acks don't count any more, since this was last asked.
    pub(super) fn take_lost(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.lost)
    }

    /// Whether nothing was acknowledged for so long, of those that were handed on.
    pub(super) fn stands(&self, time: Duration, now: Instant) -> bool {
        self.waits.is_some_and(|since| since + time <= now)
    }

    /// The same, once.
    pub(super) fn is_news(&mut self, time: Duration, now: Instant) -> bool {
        let news = !self.told && self.stands(time, now);
        self.told |= news;
        news
    }

    /// Forgets what was not handed on; all of it, to be nacked at the service.
    pub(super) fn shed(&mut self) -> Vec<String> {
        self.queue.clear();
        self.parked = 0;
        let (ids, mut ack_ids) = (&mut self.ids, Vec::new());
        self.entries.retain(|_, entry| {
            if entry.state != State::Queued {
                return true;
            }
            ids.remove(&entry.id);
            ack_ids.push(std::mem::take(&mut entry.ack_id));
            false
        });
        ack_ids
    }

    /// How many wait to come again.
    pub(super) fn due_len(&self) -> usize {
        let due = |entry: &&Entry| entry.state == State::Due;
        self.entries.values().filter(due).count()
    }

    /// Forgets what waits to come again; what has since `since`, if that is said.
    pub(super) fn forget_due(&mut self, since: Option<Instant>) {
        let ids = &mut self.ids;
        self.entries.retain(|_, entry| {
            let forgotten = match since {
                Some(since) => entry.is_due_since(since),
                None => entry.state == State::Due,
            };
            if forgotten {
                ids.remove(&entry.id);
            }
            !forgotten
        });
    }

    pub(super) fn unfinished(&self) -> (Option<Sequence>, usize) {
        let open = self.entries.values();
        let open = open.filter(|entry| entry.state == State::Delivered);
        (open.map(|entry| entry.at).min(), self.open)
    }
}

#[cfg(test)]
mod tests;
