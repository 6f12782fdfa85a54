use super::{
    balance::balance,
    group::{Group, State},
    member::{Member, Told},
    slot::Slot,
};
use crate::Partition;
use std::{sync::Arc, time::Instant};

/// Who owns what, and how it moves.
impl State {
    pub(super) fn remove(&mut self, group: &Group, member: &Arc<Member>, in_good_order: bool) {
        member.raise_version();
        for (slot, partition) in self.slots.iter_mut().zip(0..) {
            let Some((_, lane)) = slot.owner.take_if(|(owner, _)| owner.id == member.id) else {
                continue;
            };
            slot.draining = None;
            if in_good_order {
                member.lanes.revoke(lane);
                member.tell(Told::Revoked(partition));
            } else {
                member.lanes.lose(lane);
                member.tell(Told::Lost(partition));
            }
        }
        member.set_draining(false);
        self.members.retain(|other| other.id != member.id);
        if self.members.is_empty() {
            // Where nothing is committed, the start of whoever comes next counts (C7).
            for slot in &mut self.slots {
                slot.begun = slot.checkpoint.is_some();
                slot.report(group);
            }
        }
    }

    /// Decides anew who shall own what, and begins to move it.
    pub(super) fn rebalance(&mut self, group: &Group) {
        let owner = |slot: &Slot| slot.owner.as_ref().map(|(owner, _)| owner.id);
        let owners: Vec<_> = self.slots.iter().map(owner).collect();
        let members: Vec<_> = self.members.iter().map(|member| member.id).collect();
        let targets = balance(&owners, &members);
        let now = Instant::now();
        for (index, target) in targets.into_iter().enumerate() {
            let partition = index as u32;
            let slot = &mut self.slots[index];
            slot.target = target;
            let Some((owner, _)) = &slot.owner else {
                self.give(index);
                continue;
            };
            if target == Some(owner.id) {
                if slot.draining.take().is_some() {
                    owner.raise_version();
                    owner.tell(Told::Resumed(partition));
                }
            } else if slot.draining.is_none() {
                slot.draining = Some(now);
                owner.raise_version();
                owner.set_draining(true);
                owner.tell(Told::Paused(partition));
            }
        }
        for member in self.members.clone() {
            self.release(group, &member, |_| false);
        }
    }

    /// Moves on the partitions that the member is asked for: where all deliveries are answered, or
    /// where `overdue` says, of the time since when it is asked, that they were waited for.
    pub(super) fn release(
        &mut self,
        group: &Group,
        member: &Arc<Member>,
        overdue: impl Fn(Instant) -> bool,
    ) {
        if !member.is_draining() {
            return;
        }
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let Some(since) = slot.draining else { continue };
            let Some((owner, lane)) = &slot.owner else {
                continue;
            };
            let lane = *lane;
            if owner.id != member.id || (member.lanes.has_deliveries(lane) && !overdue(since)) {
                continue;
            }
            self.commit(group, member);
            member.raise_version();
            let partition = index as u32;
            // Acks past an unanswered event can't be committed: they are lost with it, and told so.
            let lost = member.lanes.lose(lane);
            member.tell(if lost {
                Told::Lost(partition)
            } else {
                Told::Revoked(partition)
            });
            let slot = &mut self.slots[index];
            slot.owner = None;
            slot.draining = None;
            self.give(index);
        }
        let left = |slot: &Slot| slot.is_of(member) && slot.draining.is_some();
        member.set_draining(self.slots.iter().any(left));
    }

    /// Gives a free partition to the member that shall own it.
    fn give(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let mut members = self.members.iter();
        if let Some(member) = members.find(|member| Some(member.id) == slot.target) {
            member.raise_version();
            let partition = index as u32;
            let lane = member.lanes.assign(&Partition::number(partition));
            slot.owner = Some((member.clone(), lane));
            let next = slot.checkpoint.map(|at| at.next);
            let from = next.unwrap_or_else(|| slot.log.now().first());
            member.tell(Told::Assigned {
                partition,
                lane,
                from,
            });
        }
    }
}
