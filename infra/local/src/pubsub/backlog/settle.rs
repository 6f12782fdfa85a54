//! Acknowledgements and longer deadlines.

use std::time::{Duration, Instant};

use super::{Backlog, Lease, State, Ticket};

/// What became of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Settled {
    /// It holds.
    Done,
    /// The delivery is over: acknowledged before, past its deadline, nacked, or made void by a seek.
    Over,
    /// An earlier message of its key is not acknowledged, so this one is not either.
    Unordered,
}

impl Backlog {
    /// Acknowledges what came in one request: of a key only what leaves nothing before it unacknowledged.
    pub(in super::super) fn ack(&mut self, tickets: &[Ticket]) -> Vec<Settled> {
        let mut results = vec![Settled::Over; tickets.len()];
        let mut ordered = Vec::new();
        for (n, ticket) in tickets.iter().enumerate() {
            let Some(lease) = self.lease(*ticket) else {
                continue;
            };
            match self.entries[&ticket.message].key {
                Some(key) => ordered.push((ticket.message, key, lease, n)),
                None => {
                    self.settle(ticket.message, lease);
                    results[n] = Settled::Done;
                }
            }
        }
        ordered.sort_unstable_by_key(|(message, ..)| *message);
        for (message, index, lease, n) in ordered {
            // Twice in one request: it is gone, and its key perhaps with it.
            if self.lease(tickets[n]).is_none() {
                results[n] = Settled::Done;
                continue;
            }
            let key = &mut self.keys[index];
            if key.queue.front() != Some(&message) {
                results[n] = Settled::Unordered;
                continue;
            }
            key.queue.pop_front();
            key.sent -= 1;
            self.settle(message, lease);
            self.settle_key(index);
            results[n] = Settled::Done;
        }
        self.clean();
        results
    }

    /// The delivery, if it is still under way.
    pub(super) fn lease(&self, ticket: Ticket) -> Option<Lease> {
        match self.entries.get(&ticket.message)?.state {
            State::Outstanding(lease) if lease.delivery == ticket.delivery => Some(lease),
            _ => None,
        }
    }

    pub(super) fn lease_mut(&mut self, ticket: Ticket) -> Option<&mut Lease> {
        match &mut self.entries.get_mut(&ticket.message)?.state {
            State::Outstanding(lease) if lease.delivery == ticket.delivery => Some(lease),
            _ => None,
        }
    }

    /// How many messages that are not acknowledged a reader has.
    pub(in super::super) fn outstanding_at(&self, reader: u64) -> usize {
        self.readers
            .get(&reader)
            .map_or(0, super::Reader::outstanding)
    }

    fn settle(&mut self, id: u64, lease: Lease) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let (size, memory) = (entry.message.size(), entry.message.memory());
        self.unacked_bytes -= memory;
        if self.settings.retain_acked {
            entry.state = State::Acked;
            entry.key = None;
            self.keep_acked(id, memory);
        } else {
            self.entries.remove(&id);
        }
        self.release(lease, size);
    }

    /// Gives deliveries until so long from now; false where one is over.
    pub(in super::super) fn extend(
        &mut self,
        tickets: &[Ticket],
        deadline: Duration,
        now: Instant,
    ) -> Vec<bool> {
        let until = now + deadline;
        let mut results = Vec::with_capacity(tickets.len());
        for ticket in tickets {
            let Some(lease) = self.lease_mut(*ticket) else {
                results.push(false);
                continue;
            };
            lease.until = until;
            if until < lease.look {
                lease.look = until;
                let lease = *lease;
                self.leases.look(ticket.message, lease);
            }
            results.push(true);
        }
        self.clean();
        results
    }

    /// Forgets the times that don't count any more, where they have become many.
    pub(super) fn clean(&mut self) {
        if self.leases.is_stale() {
            let entries = &self.entries;
            self.leases.retain(|look| {
                entries.get(&look.message).is_some_and(|entry| {
                    matches!(entry.state, State::Outstanding(lease) if lease.delivery == look.delivery && lease.look == look.at)
                })
            });
        }
    }
}
