//! What the owner of a member asks of it.

use super::{Add, Event, Flaw, Grant, Leaving, Member, NewPartition, Stale, slot::Closing};
use crate::Checkpoint;
use std::{sync::Arc, time::Duration};

impl Member {
    /// Whether the partition may be delivered from at this moment: it is owned, not asked for, no
    /// seek has moved past the grant, and the last good write began less than nine tenths of a
    /// lease ago (C10). Ask it before every delivery, with a fresh reading of the clock.
    pub fn may_deliver(&self, grant: &Grant, now: Duration) -> bool {
        let Some(hold) = self.slot_of(grant).and_then(|slot| slot.hold.as_ref()) else {
            return false;
        };
        let open = hold.closing == Closing::No && hold.asked.is_none()
            || self.flawed(Flaw::DeliversWhileReleasing) && hold.closing == Closing::Release;
        hold.takes == grant.takes
            && hold.generation == grant.checkpoint.generation
            && open
            && (now < hold.until || self.flawed(Flaw::NeverLapses))
    }

    /// Makes partitions known to the group: rows that are missing are made, and parents struck out
    /// as [`NewPartition::parents`] says. `unix_seconds` seeds the take counters of new rows.
    pub fn add(&mut self, partitions: impl IntoIterator<Item = NewPartition>, unix_seconds: u64) {
        if self.leaving != Leaving::No {
            return;
        }
        for new in partitions {
            let slot = self.slot(&new.partition);
            // A parent that anyone called gone is gone.
            if let Some(add) = self.adds.iter_mut().find(|add| add.slot == slot) {
                add.new.parents.retain(|it| new.parents.contains(it));
                continue;
            }
            self.adds.push(Add {
                slot,
                new,
                takes: unix_seconds,
            });
        }
    }

    /// Everything up to `position` is done. The ticket is settled once that is durable; a position
    /// that is not past the checkpoint changes nothing (C9).
    pub fn checkpoint(
        &mut self,
        grant: &Grant,
        position: impl Into<Arc<str>>,
    ) -> Result<u64, Stale> {
        let index = self.held(grant)?;
        let ticket = self.ticket();
        self.advance(index, position.into(), ticket);
        Ok(ticket)
    }

    /// Goes to `position` (None: the partition's start), in the next generation: every earlier
    /// checkpoint is void, and so is the grant; it answers the next one. Done when the ticket is
    /// settled.
    pub fn seek(
        &mut self,
        grant: &Grant,
        position: Option<Arc<str>>,
    ) -> Result<(u64, Grant), Stale> {
        let index = self.held(grant)?;
        let ticket = self.ticket();
        let keep = self.flawed(Flaw::SeekKeepsGeneration);
        let hold = self.slots[index].hold.as_mut().ok_or(Stale)?;
        hold.generation = hold.generation.saturating_add(u64::from(!keep));
        let checkpoint = Checkpoint::new(hold.generation, position);
        hold.wanted = Some(checkpoint.clone());
        hold.ticket = ticket;
        Ok((
            ticket,
            Grant {
                checkpoint,
                ..grant.clone()
            },
        ))
    }

    /// Gives the partition up, with its last checkpoint; from now on nothing of it may be
    /// delivered. Done when the ticket is settled.
    pub fn release(&mut self, grant: &Grant, position: Option<Arc<str>>) -> Result<u64, Stale> {
        let index = self.held(grant)?;
        let ticket = self.ticket();
        if let Some(position) = position {
            self.advance(index, position, ticket);
        }
        self.close(index, Closing::Release, ticket);
        Ok(ticket)
    }

    /// Everything of a resharded partition is done, to its end: makes its children known, then
    /// notes that it is finished, so that they may be begun (C11). Done when the ticket is settled.
    pub fn finish(
        &mut self,
        grant: &Grant,
        children: impl IntoIterator<Item = NewPartition>,
        unix_seconds: u64,
    ) -> Result<u64, Stale> {
        let index = self.held(grant)?;
        let ticket = self.ticket();
        let children = children.into_iter();
        let missing: Vec<_> = children
            .filter(|child| !self.has_row(&child.partition))
            .collect();
        let names = missing
            .iter()
            .map(|child| child.partition.clone())
            .collect();
        self.close(index, Closing::Finish(names), ticket);
        self.add(missing, unix_seconds);
        Ok(ticket)
    }

    /// Releases everything at once, with the last checkpoints that were given, and removes the
    /// member's row; then tells [`Event::Left`]. It takes nothing any more.
    pub fn leave(&mut self) {
        if self.leaving != Leaving::No {
            return;
        }
        self.leaving = Leaving::Releasing;
        self.own.due = Duration::ZERO;
        self.adds.clear();
        self.todo.clear();
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let Some(hold) = &slot.hold else { continue };
            match &hold.closing {
                Closing::No => {}
                // Its children will not be made known any more: the next owner comes to its end
                // again.
                Closing::Finish(missing) if !missing.is_empty() => {
                    let (partition, ticket) = (slot.partition.clone(), hold.closing_ticket);
                    self.events.push_back(Event::Settled {
                        partition,
                        ticket,
                        durable: false,
                    });
                }
                _ => continue,
            }
            let ticket = self.tickets;
            self.close(index, Closing::Release, ticket);
        }
    }

    /// Breaks the algorithm on purpose.
    #[cfg(feature = "flaws")]
    #[doc(hidden)]
    pub fn break_with(&mut self, flaw: Flaw) {
        self.flaw = Some(flaw);
    }

    fn slot_of(&self, grant: &Grant) -> Option<&super::Slot> {
        self.slots.get(*self.index.get(&grant.partition)? as usize)
    }

    /// The slot that the grant still holds.
    fn held(&self, grant: &Grant) -> Result<usize, Stale> {
        let index = *self.index.get(&grant.partition).ok_or(Stale)? as usize;
        let hold = self.slots[index].hold.as_ref().ok_or(Stale)?;
        let same = hold.takes == grant.takes
            && hold.generation == grant.checkpoint.generation
            && hold.closing == Closing::No;
        same.then_some(index).ok_or(Stale)
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn close(&mut self, index: usize, closing: Closing, ticket: u64) {
        if let Some(hold) = &mut self.slots[index].hold {
            hold.closing = closing;
            hold.closing_ticket = ticket;
        }
    }

    /// Wants the position written, if it is past what is written or wanted already.
    fn advance(&mut self, index: usize, position: Arc<str>, ticket: u64) {
        let (order, back) = (self.order, self.flawed(Flaw::GoesBack));
        let early = self.flawed(Flaw::AcksEarly);
        let slot = &mut self.slots[index];
        let (Some(hold), Some(view)) = (&mut slot.hold, &slot.view) else {
            return;
        };
        let current = hold.wanted.as_ref().unwrap_or(&view.lease.checkpoint);
        let ahead = match &current.position {
            Some(current) => back || order(&position, current).is_gt(),
            None => true,
        };
        if ahead {
            hold.wanted = Some(Checkpoint::new(hold.generation, Some(position)));
        }
        hold.ticket = ticket;
        if hold.wanted.is_none() || early {
            hold.settled = ticket;
            self.events.push_back(Event::Settled {
                partition: slot.partition.clone(),
                ticket,
                durable: true,
            });
        }
    }
}
