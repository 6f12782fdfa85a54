//! What to take, and what to ask for.

use super::{
    Flaw, Member,
    slot::{Closing, Doing},
};
use rand::RngExt;
use std::{sync::Arc, time::Duration};

impl Member {
    /// Decides on a listing that was just read, and when to look again.
    ///
    /// Each live member is due its share: the open partitions by the live members, rounded up. What
    /// is free or expired is taken first, up to that. Only where there is none of it, a member that
    /// has at least two fewer than the fullest asks that one for a partition: for one at a time, or
    /// for its whole share if it has none yet. Each move makes the shares more even, so it ends.
    pub(super) fn decide(&mut self, now: Duration, start: Duration) {
        let mut count = self.count(now);
        let share = count.open.div_ceil(count.live);
        let room = share.saturating_sub(count.mine);
        let early = count.reserved as usize;
        // Those that were given up for us come first, and come whatever our share.
        let taking = early.max(self.picks.len().min(early + room as usize));
        for at in 0..taking {
            if at >= early {
                let other = self.rng.random_range(at..self.picks.len());
                self.picks.swap(at, other);
            }
            self.todo.push((self.picks[at], Doing::Take));
        }
        if self.picks.is_empty() && !self.flawed(Flaw::NeverAsks) {
            while count.asking == 0 || count.held == 0 && count.asking < share {
                if !self.ask(now, count.mine) {
                    break;
                }
                count.asking += 1;
                count.mine += 1;
            }
        }
        let pause = if count.asking > 0 {
            self.times.renew / 4
        } else {
            self.times.renew
        };
        let soonest = now + self.times.renew / 16;
        self.scan.due = (start + pause).min(count.next_expiry).max(soonest);
    }

    fn count(&mut self, now: Duration) -> Count {
        let mut count = Count {
            open: 0,
            live: 1,
            mine: 0,
            held: 0,
            asking: 0,
            reserved: 0,
            next_expiry: Duration::MAX,
        };
        for peer in &mut self.peers {
            let until = peer.until();
            peer.live = now < until;
            peer.load = 0;
            if peer.live {
                count.live += 1;
                count.next_expiry = count.next_expiry.min(until);
            }
        }
        self.picks.clear();
        for index in 0..self.slots.len() {
            self.note_request(now, index);
            self.count_slot(now, index, &mut count);
        }
        count
    }

    /// A partition counts to whoever it is on its way to.
    fn count_slot(&mut self, now: Duration, index: usize, count: &mut Count) {
        let slot = &self.slots[index];
        let Some(view) = &slot.view else { return };
        let lease = &view.lease;
        if lease.checkpoint.finished || lease.owner.is_none() && !self.is_open(lease) {
            return;
        }
        count.open += 1;
        if slot
            .flight
            .as_ref()
            .is_some_and(|flight| flight.doing == Doing::Take)
        {
            count.mine += 1;
            return;
        }
        let asking = slot
            .flight
            .as_ref()
            .is_some_and(|flight| flight.doing == Doing::Ask);
        let asker = lease.asked_by.as_ref();
        let for_me = asking || asker == Some(&self.name);
        let for_peer = asker.and_then(|asker| self.live_peer(asker));
        if let Some(hold) = &slot.hold {
            count.held += u32::from(hold.closing == Closing::No);
            match for_peer {
                Some(peer) => self.peers[peer].load += 1,
                None => count.mine += u32::from(hold.closing == Closing::No),
            }
            return;
        }
        let busy = slot.flight.is_some() && !asking;
        let Some(owner) = &lease.owner else {
            // Given up: the one that asked for it comes first, for a while.
            let kept_until = slot.seen_at.saturating_add(self.times.lease / 2);
            match for_peer.filter(|_| now < kept_until) {
                Some(peer) => {
                    self.peers[peer].load += 1;
                    count.next_expiry = count.next_expiry.min(kept_until);
                }
                None if !busy => self.pick(now, index, for_me, count),
                None => {}
            }
            return;
        };
        let expired = if self.flawed(Flaw::TakesEarly) {
            now >= slot.seen_at.saturating_add(lease.term / 2)
        } else {
            slot.expired(lease, now)
        };
        // A row in our name that we do not hold is a take whose answer was lost.
        let ours = *owner == self.name;
        if (expired || ours) && !busy && !self.flawed(Flaw::LeavesTheDead) {
            self.pick(now, index, ours, count);
            return;
        }
        count.next_expiry = count
            .next_expiry
            .min(slot.seen_at.saturating_add(lease.term));
        if for_me {
            count.mine += 1;
            count.asking += 1;
        } else if let Some(peer) = for_peer.or_else(|| self.live_peer(owner)) {
            self.peers[peer].load += 1;
        }
    }

    /// May be taken, unless that has just failed: at the front if it is meant for us.
    fn pick(&mut self, now: Duration, index: usize, reserved: bool, count: &mut Count) {
        let retry_at = self.slots[index].retry_at;
        if now < retry_at {
            count.next_expiry = count.next_expiry.min(retry_at);
            return;
        }
        self.picks.push(index as u32);
        if reserved {
            let last = self.picks.len() - 1;
            self.picks.swap(count.reserved as usize, last);
            count.reserved += 1;
        }
    }

    /// Asks the fullest member for one of its partitions, if that makes the shares more even.
    fn ask(&mut self, now: Duration, mine: u32) -> bool {
        let live = self.peers.iter().filter(|peer| peer.live);
        let Some(fullest) = live.max_by_key(|peer| peer.load) else {
            return false;
        };
        if fullest.load < mine + 2 {
            return false;
        }
        let name = fullest.name.clone();
        let mut seen = 0;
        let mut chosen = None;
        for index in 0..self.slots.len() {
            if self.may_ask(now, index, &name) {
                seen += 1;
                // Each of those seen so far is equally likely to be the one.
                if self.rng.random_range(0..seen) == 0 {
                    chosen = Some(index);
                }
            }
        }
        let Some(index) = chosen else { return false };
        self.todo.push((index as u32, Doing::Ask));
        if let Some(peer) = self.live_peer(&name) {
            self.peers[peer].load -= 1;
        }
        true
    }

    fn may_ask(&self, now: Duration, index: usize, owner: &Arc<str>) -> bool {
        let slot = &self.slots[index];
        let Some(view) = &slot.view else { return false };
        let asked = view.lease.asked_by.as_ref();
        view.lease.owner.as_ref() == Some(owner)
            && !view.lease.checkpoint.finished
            && slot.flight.is_none()
            && self.todo.iter().all(|it| it.0 as usize != index)
            && asked.is_none_or(|asker| !self.is_live(asker, now))
    }

    fn live_peer(&self, name: &Arc<str>) -> Option<usize> {
        let found = self.peers.binary_search_by(|peer| peer.name.cmp(name));
        found.ok().filter(|&index| self.peers[index].live)
    }

    pub(super) fn is_live(&self, name: &Arc<str>, now: Duration) -> bool {
        let found = self.peers.binary_search_by(|peer| peer.name.cmp(name));
        found.is_ok_and(|index| now < self.peers[index].until())
    }
}

/// How the open partitions are shared out.
struct Count {
    open: u32,
    /// Live members, this one among them.
    live: u32,
    /// Partitions that are ours or on their way to us.
    mine: u32,
    held: u32,
    /// Requests of ours that were not answered yet.
    asking: u32,
    /// How many of `picks`, at the front, are meant for us.
    reserved: u32,
    next_expiry: Duration,
}
