use super::{Arrival, Ids, KeyLane, Nack};
use crate::keys::{Message, Ref, entry::Entry};
use std::time::{Duration, Instant};

impl KeyLane {
    /// One that waited to come again came.
    pub(in crate::keys) fn due_again(
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

    /// One came again that was not nacked: as if it had been, and with all behind it. What is behind it is nacked, in case
    /// the service has only said one thing twice, and is void there where it goes on from here.
    pub(in crate::keys) fn again_from(
        &mut self,
        index: usize,
        message: Message,
        now: Instant,
    ) -> Arrival {
        let acked = self.entries.range(index..).filter_map(Entry::acked);
        self.lost.extend(acked);
        self.entries[index].again(message, now);
        self.queued = index + 1;
        for entry in self.entries.range_mut(self.queued..) {
            entry.hold();
            entry.let_go(now);
        }
        self.handed = self.handed.min(index);
        if index <= self.prefix {
            self.waits = None;
        }
        self.prefix = self.prefix.min(index);
        let behind = self.entries.get(self.queued);
        let bounce: Vec<_> = behind
            .map(|entry| entry.ack_id.clone())
            .into_iter()
            .collect();
        self.nack = (!bounce.is_empty()).then_some(Nack::Sent);
        self.asked += bounce.len() as u32;
        Arrival { ready: 1, bounce }
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
    pub(in crate::keys) fn early(&mut self, index: usize, now: Instant) -> Arrival {
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
        let mut early: Vec<_> = early.collect();
        if self.buries.is_some() {
            // The others come with it; a nack of their own would use up one of their tries.
            early.truncate(1);
        }
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

    pub(in crate::keys) fn nack(
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
    pub(in crate::keys) fn hold(&mut self, index: usize, due: Instant) {
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

    pub(in crate::keys) fn next_due(&self) -> Option<Instant> {
        match self.nack {
            Some(Nack::Waits(due)) => Some(due),
            _ => None,
        }
    }

    pub(in crate::keys) fn has_unsent_nack(&self) -> bool {
        self.next_due().is_some()
    }

    /// What to nack at the service, if that is due.
    pub(in crate::keys) fn due(
        &mut self,
        lane: u32,
        now: Instant,
        ids: &mut Ids,
    ) -> Option<String> {
        self.next_due().filter(|due| *due <= now)?;
        let first = self.entries.get(self.queued)?;
        let ack_id = first.ack_id.clone();
        let is_last_try = self.buries.is_some_and(|most| first.tries >= most);
        for entry in self.entries.range_mut(self.queued..) {
            entry.let_go(now);
        }
        self.nack = Some(Nack::Sent);
        self.asked += 1;
        if is_last_try {
            self.bury(lane, ids);
        }
        Some(ack_id)
    }

    /// What was just nacked won't come again: the service was told for the last time. What is behind it would wait for it.
    fn bury(&mut self, lane: u32, ids: &mut Ids) {
        let first = &self.entries[self.queued];
        // Should it come all the same, it goes back to it.
        self.gone.push(first.id, first.at);
        self.forget(lane, self.queued + 1, ids);
        if self.queued == self.entries.len() {
            self.nack = None;
        }
    }

    /// Which of the lane's nacks was the last one.
    pub(in crate::keys) fn asked(&self) -> u32 {
        self.asked
    }

    /// The service has heard of the nack; what to nack next.
    pub(in crate::keys) fn nack_told(&mut self, asked: u32) -> Vec<String> {
        if !matches!(self.nack, Some(Nack::Sent)) || self.asked != asked {
            return Vec::new();
        }
        self.nack = Some(Nack::Told);
        self.send_back()
    }
}
