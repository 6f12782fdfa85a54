//! What is due: the requests that a member makes.

use super::{
    Event, Flaw, Leaving, Member, Operation, Request, Target,
    slot::{Closing, Doing, Flight},
};
use crate::{Key, Lease, MemberRow, Row, Version};
use rand::RngExt;
use std::{sync::Arc, time::Duration};

impl Member {
    /// Appends what is to be asked of the store now, and says by when to poll again, whatever else
    /// happens.
    pub fn poll(&mut self, now: Duration, out: &mut Vec<Request>) -> Duration {
        let mut wake = Duration::MAX;
        if self.leaving == Leaving::Left {
            return wake;
        }
        // Slots first: a member that wakes from a pause renews before it looks around.
        for at in 0..self.held.len() {
            wake = wake.min(self.poll_slot(self.held[at] as usize, now, out));
        }
        while let Some((index, doing)) = self.todo.pop() {
            self.send_foreign(index as usize, doing, now, out);
        }
        if !self.adds.is_empty() && self.scan.number > 0 {
            wake = wake.min(self.poll_adds(now, out));
        }
        wake = wake.min(self.poll_own(now, out));
        if self.leaving == Leaving::No {
            wake = wake.min(self.poll_scan(now, out));
            self.poll_sweep(now, out);
        }
        wake
    }

    fn poll_own(&mut self, now: Duration, out: &mut Vec<Request>) -> Duration {
        if self.own.flight.is_some() {
            return Duration::MAX;
        }
        if now < self.own.due {
            return self.own.due;
        }
        let operation = if self.leaving == Leaving::No {
            let row = MemberRow::new(
                self.name.clone(),
                self.own.counter.wrapping_add(1),
                self.times.lease,
            );
            Operation::Write {
                row: row.into(),
                expected: self.own.version.clone(),
            }
        } else if !self.held.is_empty() || self.slots.iter().any(|slot| slot.flight.is_some()) {
            return Duration::MAX;
        } else {
            Operation::Remove {
                key: Key::Member(self.name.clone()),
                expected: None,
            }
        };
        let request = self.request(Target::Own, self.times.write, operation);
        self.own.flight = Some((request.id.sequence, now));
        out.push(request);
        Duration::MAX
    }

    fn poll_scan(&mut self, now: Duration, out: &mut Vec<Request>) -> Duration {
        if self.scan.flight.is_some() {
            return Duration::MAX;
        }
        if now < self.scan.due {
            return self.scan.due;
        }
        let request = self.request(Target::Scan, self.times.list, Operation::List);
        self.scan.flight = Some((request.id.sequence, now));
        out.push(request);
        Duration::MAX
    }

    /// Removes the row of a member that is long dead.
    fn poll_sweep(&mut self, now: Duration, out: &mut Vec<Request>) {
        if self.sweep.is_some() {
            return;
        }
        let dead =
            |peer: &super::Peer| now >= peer.seen_at.saturating_add(peer.term.saturating_mul(3));
        let Some(peer) = self.peers.iter_mut().find(|peer| dead(peer)) else {
            return;
        };
        // Should the removal fail, another time will do.
        peer.seen_at = now;
        let operation = Operation::Remove {
            key: Key::Member(peer.name.clone()),
            expected: Some(peer.version.clone()),
        };
        let request = self.request(Target::Sweep, self.times.write, operation);
        self.sweep = Some(request.id.sequence);
        out.push(request);
    }

    fn poll_slot(&mut self, index: usize, now: Duration, out: &mut Vec<Request>) -> Duration {
        self.force(index, now);
        self.strike_known(index);
        let slot = &self.slots[index];
        if slot.flight.is_some() {
            return Duration::MAX;
        }
        let Some(hold) = &slot.hold else {
            return Duration::MAX;
        };
        let closed = match &hold.closing {
            Closing::No => false,
            Closing::Release | Closing::Forced => true,
            Closing::Finish(missing) => missing.is_empty() || self.flawed(Flaw::FinishesFirst),
        };
        let due = if closed || hold.wanted.is_some() {
            slot.retry_at
        } else {
            hold.renew_at.max(slot.retry_at)
        };
        if now < due {
            let asked = hold.asked.filter(|_| hold.closing == Closing::No);
            return asked.map_or(due, |asked| due.min(asked));
        }
        self.send_own(index, closed, now, out);
        Duration::MAX
    }

    /// Gives up a partition that was asked for and not drained in time, and says so before anything
    /// is written.
    fn force(&mut self, index: usize, now: Duration) {
        let slot = &mut self.slots[index];
        let Some(hold) = &mut slot.hold else { return };
        if hold.closing != Closing::No || hold.asked.is_none_or(|until| now < until) {
            return;
        }
        hold.closing = Closing::Forced;
        hold.closing_ticket = hold.ticket;
        self.events.push_back(Event::Lost(slot.partition.clone()));
    }

    /// Strikes out the children whose rows are there by now. Seen once is enough: if the row goes
    /// again, that was meant.
    fn strike_known(&mut self, index: usize) {
        let hold = self.slots[index].hold.as_mut();
        if let Some(Closing::Finish(missing)) = hold.map(|hold| &mut hold.closing)
            && !missing.is_empty()
        {
            let mut missing = std::mem::take(missing);
            missing.retain(|child| !self.has_row(child));
            if let Some(hold) = &mut self.slots[index].hold {
                hold.closing = Closing::Finish(missing);
            }
        }
    }

    /// A write by the owner: always a renewal, and all that is wanted with it.
    fn send_own(&mut self, index: usize, closed: bool, now: Duration, out: &mut Vec<Request>) {
        let slot = &self.slots[index];
        let (Some(hold), Some(view)) = (&slot.hold, &slot.view) else {
            return;
        };
        let mut lease = Lease::clone(&view.lease);
        lease.counter = lease.counter.wrapping_add(1);
        lease.term = self.times.lease;
        if let Some(wanted) = &hold.wanted {
            lease.checkpoint = wanted.clone();
        }
        let mut ticket = hold.ticket;
        lease.owner = (!closed).then(|| self.name.clone());
        if closed {
            ticket = ticket.max(hold.closing_ticket);
            if matches!(hold.closing, Closing::Finish(_)) {
                lease.checkpoint.finished = true;
                lease.asked_by = None;
            }
        }
        let expected = Some(view.version.clone());
        self.send(index, Doing::Keep, lease, expected, ticket, now, out);
    }

    /// A write on the row of a partition that is not ours.
    fn send_foreign(&mut self, index: usize, doing: Doing, now: Duration, out: &mut Vec<Request>) {
        let slot = &self.slots[index];
        let Some(view) = &slot.view else { return };
        let mut lease = Lease::clone(&view.lease);
        let expected = Some(view.version.clone());
        if doing == Doing::Ask {
            lease.asked_by = Some(self.name.clone());
        } else {
            // Our own take whose answer was lost is not a second one.
            let ours =
                lease.owner.as_ref() == Some(&self.name) && slot.attempt == Some(lease.takes);
            if !ours && !self.flawed(Flaw::TakesNotRaised) {
                lease.takes = lease.takes.saturating_add(1);
            }
            lease.owner = Some(self.name.clone());
            lease.counter = lease.counter.wrapping_add(1);
            lease.term = self.times.lease;
            lease.parents = Vec::new();
            lease.asked_by = None;
            self.slots[index].attempt = Some(lease.takes);
        }
        self.send(index, doing, lease, expected, 0, now, out);
    }

    fn poll_adds(&mut self, now: Duration, out: &mut Vec<Request>) -> Duration {
        let mut wake = Duration::MAX;
        let mut at = 0;
        while let Some(add) = self.adds.get(at) {
            let index = add.slot as usize;
            let slot = &self.slots[index];
            let (doing, lease, expected) = match &slot.view {
                _ if slot.flight.is_some() => {
                    at += 1;
                    continue;
                }
                None => {
                    let counter = self.rng.random();
                    (
                        Doing::Create,
                        Self::row_of(&add.new, add.takes, counter),
                        None,
                    )
                }
                Some(view) => {
                    let mut lease = Lease::clone(&view.lease);
                    lease
                        .parents
                        .retain(|parent| add.new.parents.contains(parent));
                    if lease.parents.len() == view.lease.parents.len() {
                        self.adds.swap_remove(at);
                        continue;
                    }
                    (Doing::Narrow, lease, Some(view.version.clone()))
                }
            };
            at += 1;
            if now < slot.retry_at {
                wake = wake.min(slot.retry_at);
                continue;
            }
            self.send(index, doing, lease, expected, 0, now, out);
        }
        wake
    }

    #[allow(clippy::too_many_arguments)]
    fn send(
        &mut self,
        index: usize,
        doing: Doing,
        lease: Lease,
        expected: Option<Version>,
        ticket: u64,
        now: Duration,
        out: &mut Vec<Request>,
    ) {
        let lease = Arc::new(lease);
        let operation = Operation::Write {
            row: Row::Lease(lease.clone()),
            expected,
        };
        let request = self.request(Target::Slot(index as u32), self.times.write, operation);
        self.slots[index].flight = Some(Flight {
            sequence: request.id.sequence,
            start: now,
            doing,
            lease,
            ticket,
        });
        out.push(request);
    }

    /// When to try again what has failed `fails` times: doubling, to the patience of a write, of
    /// which a random part of up to a half is taken off.
    pub(super) fn retry_at(
        &mut self,
        now: Duration,
        fails: u32,
        after: Option<Duration>,
    ) -> Duration {
        let doubled = self.times.backoff * (1 << fails.clamp(1, 8) >> 1);
        let wait = self.jitter(doubled.min(self.times.write));
        now.saturating_add(wait.max(after.unwrap_or_default()))
    }

    /// Between a half of `span` and the whole.
    pub(super) fn jitter(&mut self, span: Duration) -> Duration {
        let half = span / 2;
        let part = self.rng.random::<u32>();
        half + Duration::from_nanos(
            (half.as_nanos() as u64 / 4096).saturating_mul(u64::from(part >> 20)),
        )
    }
}
