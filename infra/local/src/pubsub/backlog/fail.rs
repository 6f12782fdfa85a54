//! Deliveries that fail: nacked, or not acknowledged in time. They come again, of a key everything after them too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Backlog, Entry, Later, State, Ticket};
use crate::pubsub::message::Message;

/// A message that failed too often, taken out for the dead-letter topic.
#[derive(Debug)]
pub(in super::super) struct Dead {
    pub(in super::super) message: Arc<Message>,
    /// How often it was delivered.
    pub(in super::super) attempts: u32,
}

/// Whether the dead-letter topic takes a message that had its last try, and so many more.
pub(in super::super) type Takes<'a> = &'a mut dyn FnMut(&Message, u32) -> bool;

impl Backlog {
    /// Nacks what came in one request; false where a delivery is over.
    pub(in super::super) fn nack(
        &mut self,
        tickets: &[Ticket],
        takes: Takes<'_>,
        now: Instant,
    ) -> (Vec<bool>, Vec<Dead>) {
        let live: Vec<bool> = tickets.iter().map(|t| self.lease(*t).is_some()).collect();
        let failed = tickets.iter().zip(&live).filter(|(_, live)| **live);
        let failed = failed.map(|(ticket, _)| ticket.message).collect();
        let dead = self.fail(failed, takes, now);
        (live, dead)
    }

    /// Fails every delivery whose deadline has passed; and what waited for its retry may go out again. How many failed.
    pub(in super::super) fn expire(
        &mut self,
        takes: Takes<'_>,
        now: Instant,
    ) -> (usize, Vec<Dead>) {
        let mut failed = Vec::new();
        while let Some(look) = self.leases.due(now) {
            let ticket = Ticket {
                message: look.message,
                delivery: look.delivery,
            };
            let Some(lease) = self.lease_mut(ticket).filter(|lease| lease.look == look.at) else {
                continue;
            };
            if lease.until > now {
                lease.look = lease.until;
                let lease = *lease;
                self.leases.look(look.message, lease);
            } else {
                failed.push(look.message);
            }
        }
        self.clean();
        let count = failed.len();
        let dead = self.fail(failed, takes, now);
        while let Some((at, later)) = self.later.first().copied()
            && at <= now
        {
            self.later.remove(&(at, later));
            // A key may have failed again since, or be another one by now.
            if let Later::Key(index) = later
                && let Some(key) = self.keys.get_mut(index)
                && key.held.is_some_and(|until| until <= now)
            {
                key.held = None;
            }
            self.offer(later);
        }
        (count, dead)
    }

    /// Has what came back go out again, unless it has to wait.
    fn offer(&mut self, later: Later) {
        match later {
            Later::Key(index) => {
                if self.keys.get_mut(index).is_some() {
                    self.list(index);
                }
            }
            Later::Loose(id) => {
                self.loose.push_front(id);
                self.wake_any();
            }
        }
    }

    fn fail(&mut self, mut failed: Vec<u64>, takes: Takes<'_>, now: Instant) -> Vec<Dead> {
        // The last of a key first: once an earlier one has failed, nothing after it is under way.
        failed.sort_unstable_by(|a, b| b.cmp(a));
        failed.dedup();
        let mut dead = Vec::new();
        for id in failed {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            entry.failures += 1;
            let (key, failures) = (entry.key, entry.failures);
            match key {
                Some(index) => self.rewind(index, id),
                None => self.reopen(id),
            }
            let most = self.settings.max_attempts;
            let over = most.and_then(|most| failures.checked_sub(most));
            let goes = |entry: &Entry| over.is_some_and(|over| takes(&entry.message, over));
            if self.entries.get(&id).is_some_and(goes) {
                dead.extend(self.bury(id, failures));
            } else {
                self.retry(key, id, now, self.backoff(failures));
            }
        }
        dead
    }

    /// Takes a message back from its reader.
    fn reopen(&mut self, id: u64) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let State::Outstanding(lease) = entry.state {
            entry.state = State::Waiting;
            let size = entry.message.size();
            self.release(lease, size);
        }
    }

    /// Takes everything of a key from a message on back from the reader.
    pub(super) fn rewind(&mut self, index: usize, id: u64) {
        let key = &self.keys[index];
        let Some(place) = key.place(id) else {
            return;
        };
        let back: Vec<u64> = key
            .queue
            .range(place..key.sent.max(place))
            .copied()
            .collect();
        for id in back {
            self.reopen(id);
        }
        let key = &mut self.keys[index];
        key.sent = key.sent.min(place);
    }

    fn bury(&mut self, id: u64, attempts: u32) -> Option<Dead> {
        let message = Arc::clone(&self.entries.get(&id)?.message);
        self.forget(id);
        Some(Dead { message, attempts })
    }

    fn retry(&mut self, key: Option<usize>, id: u64, now: Instant, backoff: Duration) {
        let later = key.map_or(Later::Loose(id), Later::Key);
        if backoff.is_zero() {
            self.offer(later);
            return;
        }
        let until = now + backoff;
        if let Some(index) = key {
            let held = &mut self.keys[index].held;
            *held = (*held).max(Some(until));
        }
        self.later.insert((until, later));
    }

    /// The wait before a message comes again: doubled with each failure.
    fn backoff(&self, failures: u32) -> Duration {
        let Some((shortest, longest)) = self.settings.retry else {
            return Duration::ZERO;
        };
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        shortest.saturating_mul(doubled).min(longest)
    }

    /// Sends something again though nothing is wrong with it, as at-least-once delivery may; false if it is not under way.
    pub(in super::super) fn repeat(&mut self, ticket: Ticket) -> bool {
        if self.lease(ticket).is_none() {
            return false;
        }
        let id = ticket.message;
        match self.entries[&id].key {
            Some(index) => {
                self.rewind(index, id);
                self.offer(Later::Key(index));
            }
            None => {
                self.reopen(id);
                self.offer(Later::Loose(id));
            }
        }
        true
    }
}
