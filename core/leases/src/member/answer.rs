//! What the store answered, and what follows from it.

use super::{
    Answer, Event, Flaw, Leaving, Member, Peer, RequestId, Target,
    slot::{Closing, Doing, Flight, Hold, Slot, View},
};
use crate::{Grant, Lease, MemberRow, Row, Stored, Version, Written};
use std::{sync::Arc, time::Duration};

impl Member {
    /// Takes the answer to a request. An answer that is not awaited any more changes nothing.
    pub fn answer(&mut self, now: Duration, id: RequestId, answer: Answer) {
        match id.target {
            Target::Own => self.answer_own(now, id.sequence, answer),
            Target::Scan => self.answer_scan(now, id.sequence, answer),
            Target::Sweep => {
                if self.sweep == Some(id.sequence) {
                    self.sweep = None;
                }
            }
            Target::Slot(index) => {
                let Some(slot) = self.slots.get_mut(index as usize) else {
                    return;
                };
                if let Some(flight) = slot.flight.take_if(|it| it.sequence == id.sequence) {
                    slot.touched_at = now;
                    self.answer_slot(now, index as usize, flight, answer);
                }
            }
        }
    }

    fn answer_own(&mut self, now: Duration, sequence: u32, answer: Answer) {
        let own = &mut self.own;
        let Some((_, start)) = own.flight.take_if(|it| it.0 == sequence) else {
            return;
        };
        match answer {
            Answer::Written(Written::At(version)) => {
                own.version = Some(version);
                own.counter = own.counter.wrapping_add(1);
                own.fails = 0;
                let wait = self.jitter_renewal();
                self.own.due = start.saturating_add(wait);
            }
            // Our own write whose answer was lost, or a removal by one who took us for dead.
            Answer::Written(Written::Conflict(stored)) => {
                let version = stored.as_ref().map(|stored| stored.version.clone());
                let in_a_circle = own.version == version;
                own.version = version;
                if let Some(Row::Member(row)) = stored.map(|stored| stored.row) {
                    own.counter = own.counter.max(row.counter);
                }
                own.due = now;
                if in_a_circle {
                    self.own_failed(now, None);
                }
            }
            Answer::Removed(_) => {
                self.leaving = Leaving::Left;
                self.events.push_back(Event::Left);
            }
            Answer::Failed { retry_after } => self.own_failed(now, retry_after),
            Answer::Listed(_) => {}
        }
        if self.leaving == Leaving::Releasing && self.own.fails == 0 {
            self.own.due = now;
        }
    }

    fn own_failed(&mut self, now: Duration, retry_after: Option<Duration>) {
        self.own.fails += 1;
        let fails = self.own.fails;
        self.own.due = self.retry_at(now, fails, retry_after);
    }

    fn answer_scan(&mut self, now: Duration, sequence: u32, answer: Answer) {
        let Some((_, start)) = self.scan.flight.take_if(|it| it.0 == sequence) else {
            return;
        };
        match answer {
            Answer::Listed(rows) => {
                self.scan.fails = 0;
                self.scan.number += 1;
                self.read(now, start, rows);
                if self.leaving == Leaving::No {
                    self.decide(now, start);
                }
            }
            Answer::Failed { retry_after } => {
                self.scan.fails += 1;
                let fails = self.scan.fails;
                self.scan.due = self.retry_at(now, fails, retry_after);
            }
            Answer::Written(_) | Answer::Removed(_) => self.scan.due = now,
        }
    }

    /// Reads a listing that was begun at `start`. What was written since may be newer than it.
    fn read(&mut self, now: Duration, start: Duration, rows: Vec<Stored>) {
        let number = self.scan.number;
        let (mut next, mut next_peer) = (0, 0);
        for Stored { row, version } in rows {
            match row {
                Row::Lease(lease) => {
                    // A store lists in the same order each time, or nearly.
                    let known = self.slots.get(next);
                    let same = |slot: &&Slot| {
                        slot.view.as_ref().is_some_and(|view| {
                            Arc::ptr_eq(&view.lease, &lease) || slot.partition == lease.partition
                        })
                    };
                    let index = match known.filter(same) {
                        Some(_) => next,
                        None => self.slot(&lease.partition) as usize,
                    };
                    next = index + 1;
                    let slot = &mut self.slots[index];
                    slot.scan = number;
                    if slot.flight.is_none() && slot.touched_at <= start {
                        self.observe(now, index, Some((lease, version)));
                    }
                }
                Row::Member(row) if row.name != self.name => {
                    next_peer = self.observe_peer(now, next_peer, &row, version) + 1;
                }
                Row::Member(_) => {}
            }
        }
        self.peers.retain(|peer| peer.scan == number);
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let gone = slot.scan != number && slot.flight.is_none() && slot.touched_at <= start;
            if gone && slot.view.is_some() {
                self.observe(now, index, None);
                self.drop_slot(index as u32);
            }
        }
    }

    fn drop_slot(&mut self, index: u32) {
        if self.adds.iter().all(|add| add.slot != index) {
            self.index.remove(&self.slots[index as usize].partition);
            self.free.push(index);
        }
    }

    fn observe_peer(
        &mut self,
        now: Duration,
        next: usize,
        row: &MemberRow,
        version: Version,
    ) -> usize {
        let known = self.peers.get(next);
        let found = match known.filter(|peer| peer.name == row.name) {
            Some(_) => Ok(next),
            None => self.peers.binary_search_by(|peer| peer.name.cmp(&row.name)),
        };
        let index = found.unwrap_or_else(|index| {
            let peer = Peer {
                name: row.name.clone(),
                counter: row.counter,
                term: row.term,
                version: version.clone(),
                seen_at: now,
                scan: 0,
                live: true,
                load: 0,
            };
            self.peers.insert(index, peer);
            index
        });
        let peer = &mut self.peers[index];
        if peer.counter != row.counter {
            peer.counter = row.counter;
            peer.seen_at = now;
        }
        peer.term = row.term;
        peer.version = version;
        peer.scan = self.scan.number;
        index
    }

    /// Takes note of a row as it stands, or that it is gone.
    fn observe(&mut self, now: Duration, index: usize, row: Option<(Arc<Lease>, Version)>) {
        if let (Some(view), Some((_, version))) = (&self.slots[index].view, &row)
            && view.version == *version
        {
            return;
        }
        let once = self.flawed(Flaw::WatchesOnce);
        let fenced = !self.flawed(Flaw::NoFencing);
        let slot = &mut self.slots[index];
        let changed = match (&slot.view, &row) {
            (Some(view), Some((lease, _))) => {
                view.lease.takes != lease.takes
                    || view.lease.counter != lease.counter && !once
                    || view.lease.owner != lease.owner
            }
            _ => true,
        };
        if changed {
            slot.seen_at = now;
        }
        let lost = slot.hold.as_ref().is_some_and(|hold| {
            row.as_ref().is_none_or(|(lease, _)| {
                fenced && (lease.takes != hold.takes || lease.owner.as_ref() != Some(&self.name))
            })
        });
        slot.view = row.map(|(lease, version)| View { lease, version });
        if lost {
            self.lose(index);
        }
    }

    /// The row is not ours any more, though we hold it: another took it, or our own release was
    /// done and its answer lost.
    fn lose(&mut self, index: usize) {
        let order = self.order;
        let slot = &mut self.slots[index];
        let Some(hold) = slot.hold.take() else { return };
        self.held.retain(|&held| held as usize != index);
        slot.retry_at = Duration::ZERO;
        slot.fails = 0;
        let lease = slot.view.as_ref().map(|view| &view.lease);
        let released =
            lease.is_some_and(|lease| lease.takes == hold.takes && lease.owner.is_none());
        if hold.closing == Closing::No || matches!(hold.closing, Closing::Finish(_)) && !released {
            self.events.push_back(Event::Lost(slot.partition.clone()));
        }
        let ticket = hold.ticket.max(hold.closing_ticket);
        if hold.settled >= ticket {
            return;
        }
        // What stands in the row is durable, whoever wrote it.
        let durable = lease.is_some_and(|lease| {
            let written = &lease.checkpoint;
            let finished = written.finished || !matches!(hold.closing, Closing::Finish(_));
            let covers = hold.wanted.as_ref().is_none_or(|wanted| {
                written.generation == wanted.generation
                    && match (&wanted.position, &written.position) {
                        (Some(wanted), Some(written)) => order(wanted, written).is_le(),
                        (wanted, _) => wanted.is_none(),
                    }
            });
            finished && covers
        });
        self.events.push_back(Event::Settled {
            partition: slot.partition.clone(),
            ticket,
            durable,
        });
    }

    fn answer_slot(&mut self, now: Duration, index: usize, flight: Flight, answer: Answer) {
        match answer {
            Answer::Written(Written::At(version)) => {
                let slot = &mut self.slots[index];
                slot.fails = 0;
                slot.retry_at = Duration::ZERO;
                if !matches!(flight.doing, Doing::Ask | Doing::Narrow) {
                    slot.seen_at = now;
                }
                slot.view = Some(View {
                    lease: flight.lease.clone(),
                    version,
                });
                match flight.doing {
                    Doing::Take => self.taken(now, index, &flight),
                    Doing::Keep => self.kept(now, index, &flight),
                    // What may be taken has changed.
                    Doing::Create | Doing::Narrow => self.scan.due = now,
                    Doing::Ask => {}
                }
            }
            Answer::Written(Written::Conflict(stored)) => {
                let row = match stored {
                    Some(Stored {
                        row: Row::Lease(lease),
                        version,
                    }) => Some((lease, version)),
                    _ => None,
                };
                let known = self.slots[index].view.as_ref().map(|view| &view.version);
                if known == row.as_ref().map(|(_, version)| version) {
                    // A store that refuses what it says is so must not be asked in a circle.
                    self.failed(now, index, None);
                }
                self.observe(now, index, row);
                self.note_request(now, index);
            }
            Answer::Failed { retry_after } => {
                if flight.doing == Doing::Keep && self.flawed(Flaw::BelievesLostRenewals) {
                    self.renewed(now, index, flight.start);
                    return;
                }
                self.failed(now, index, retry_after);
                if matches!(flight.doing, Doing::Take | Doing::Ask) {
                    // Whether it was done shows in the next listing.
                    self.scan.due = self.scan.due.min(now + self.times.renew / 4);
                }
            }
            Answer::Listed(_) | Answer::Removed(_) => {}
        }
    }

    fn failed(&mut self, now: Duration, index: usize, retry_after: Option<Duration>) {
        self.slots[index].fails += 1;
        let fails = self.slots[index].fails;
        self.slots[index].retry_at = self.retry_at(now, fails, retry_after);
    }

    fn taken(&mut self, now: Duration, index: usize, flight: &Flight) {
        let slot = &mut self.slots[index];
        slot.attempt = None;
        let mut hold = Hold::new(&flight.lease);
        if self.leaving == Leaving::No {
            self.events.push_back(Event::Granted(Grant {
                partition: slot.partition.clone(),
                takes: flight.lease.takes,
                checkpoint: flight.lease.checkpoint.clone(),
            }));
        } else {
            hold.closing = Closing::Release;
        }
        slot.hold = Some(hold);
        self.held.push(index as u32);
        self.renewed(now, index, flight.start);
    }

    fn kept(&mut self, now: Duration, index: usize, flight: &Flight) {
        self.renewed(now, index, flight.start);
        let slot = &mut self.slots[index];
        let Some(hold) = &mut slot.hold else { return };
        if flight.ticket > hold.settled {
            hold.settled = flight.ticket;
            self.events.push_back(Event::Settled {
                partition: slot.partition.clone(),
                ticket: flight.ticket,
                durable: true,
            });
        }
        if flight.ticket >= hold.ticket {
            hold.wanted = None;
        }
        if flight.lease.owner.is_none() {
            slot.hold = None;
            self.held.retain(|&held| held as usize != index);
            if flight.lease.checkpoint.finished {
                // Its children may be taken.
                self.scan.due = now;
            }
        }
    }

    /// The owner counts from the start of the write, which nobody can have seen earlier (C10).
    fn renewed(&mut self, now: Duration, index: usize, start: Duration) {
        let late = self.flawed(Flaw::CountsFromTheEnd);
        let full = self.flawed(Flaw::NoMargin);
        let wait = self.jitter_renewal();
        let times = self.times;
        if let Some(hold) = &mut self.slots[index].hold {
            let effective = if full { times.lease } else { times.effective };
            hold.until = if late { now } else { start }.saturating_add(effective);
            hold.renew_at = start.saturating_add(wait);
        }
    }

    /// A third of a lease, less a random part of up to a tenth of that, so that members that began
    /// together do not stay together.
    fn jitter_renewal(&mut self) -> Duration {
        let tenth = self.times.renew / 10;
        self.times.renew - tenth * 2 + self.jitter(tenth) * 2
    }

    /// Tells once that a live member asks for a partition that we hold.
    pub(super) fn note_request(&mut self, now: Duration, index: usize) {
        let slot = &self.slots[index];
        let (Some(hold), Some(view)) = (&slot.hold, &slot.view) else {
            return;
        };
        let Some(asker) = &view.lease.asked_by else {
            return;
        };
        if hold.closing != Closing::No
            || hold.asked.is_some()
            || !self.is_live(asker, now)
            || self.flawed(Flaw::IgnoresRequests)
        {
            return;
        }
        let until = now.saturating_add(self.times.handover);
        let slot = &mut self.slots[index];
        if let Some(hold) = &mut slot.hold {
            hold.asked = Some(until);
            self.events.push_back(Event::Asked(slot.partition.clone()));
        }
    }
}
