//! What must hold, whatever happens.

use crate::{
    app::number,
    hub::Hub,
    store::Made,
    world::{SECOND, World},
};
use anyhub_leases::Lease;
use std::sync::Arc;

impl World {
    /// Every write of a lease's row, as it is made by a node.
    pub(crate) fn check_write(&mut self, writer: &Arc<str>, made: &Made) {
        let Made { shard, old, new } = made;
        let Some(old) = old else { return };
        let (before, after) = (&old.checkpoint, &new.checkpoint);
        if before != after {
            if old.owner.as_ref() != Some(writer) || old.takes != new.takes {
                self.broken(format!(
                    "s{shard}: {writer} wrote a checkpoint that is not its own: {old:?}"
                ));
            }
            let place = |it: &Lease| {
                (
                    it.checkpoint.generation,
                    it.checkpoint.finished,
                    position(it),
                )
            };
            if place(new) < place(old) {
                self.broken(format!(
                    "s{shard}: the checkpoint went back from {before:?} to {after:?}"
                ));
            }
        }
        let taken = new.owner.is_some() && new.owner != old.owner;
        if taken != (new.takes > old.takes) || new.takes < old.takes {
            self.broken(format!(
                "s{shard}: takes does not tell owners apart: {old:?}, then {new:?}"
            ));
        }
        if taken {
            self.check_taken(*shard, old);
        }
        if after.finished && !before.finished {
            let mut children = self.hub.shards[*shard].children.iter();
            if children.any(|&it| self.store.lease(it).is_none() && !self.hub.is_gone(it)) {
                self.broken(format!(
                    "s{shard} was finished before its children were known"
                ));
            }
            self.changed_at = self.now;
        }
    }

    fn check_taken(&mut self, shard: usize, old: &Lease) {
        for at in 0..self.nodes.len() {
            if self.nodes[at].may_deliver(shard, self.now) {
                let name = self.nodes[at].name.clone();
                self.broken(format!(
                    "s{shard} was taken while {name} may deliver from it: {old:?}"
                ));
            }
        }
        for index in 0..self.hub.shards[shard].parents.len() {
            let parent = self.hub.shards[shard].parents[index];
            let lease = self.store.lease(parent);
            let finished = lease.is_some_and(|lease| lease.checkpoint.finished);
            if !finished && !self.hub.is_gone(parent) {
                self.broken(format!(
                    "s{shard} was taken before its parent s{parent} was finished"
                ));
            }
        }
    }

    /// No two members may deliver from one partition.
    pub(crate) fn check_alone(&mut self, at: usize, shard: usize) {
        if !self.nodes[at].may_deliver(shard, self.now) {
            return;
        }
        for other in 0..self.nodes.len() {
            if other != at && self.nodes[other].may_deliver(shard, self.now) {
                let names = (&self.nodes[at].name, &self.nodes[other].name);
                self.broken(format!(
                    "s{shard}: both {} and {} may deliver",
                    names.0, names.1
                ));
            }
        }
    }

    /// At each delivery: the row says so too, and the owner's last good write is young, by the true
    /// time and not by what the member believes.
    pub(crate) fn check_delivery(&mut self, at: usize, shard: usize) {
        self.check_alone(at, shard);
        let node = &self.nodes[at];
        let renewed = node.renewed.get(shard).copied().unwrap_or_default();
        if self.now - renewed >= self.lease {
            let text = if node.resumed_at > renewed {
                "delivered after a pause before a fresh renewal"
            } else {
                "delivered past the end of its lease"
            };
            self.broken(format!("s{shard}: {} {text}", node.name));
            return;
        }
        let owner = self
            .store
            .lease(shard)
            .and_then(|lease| lease.owner.as_ref());
        if owner != Some(&node.name) {
            self.broken(format!(
                "s{shard}: {} delivered, and {owner:?} owns it",
                node.name
            ));
        }
    }

    /// What was called durable is, unless a later generation has replaced it, or the row went with
    /// its partition.
    pub(crate) fn check_durable(&mut self, shard: usize, generation: u64, place: u64) {
        let lease = self.store.lease(shard);
        let kept = lease.is_some_and(|lease| {
            let at = (lease.checkpoint.generation, position(lease));
            at >= (generation, place)
        });
        if !kept && !self.store.forgotten.contains(&shard) {
            self.broken(format!(
                "s{shard}: {place} in generation {generation} was called durable"
            ));
        }
    }

    /// While things are calm: every partition that may be owned is, and the shares are even.
    pub(crate) fn check_calm(&mut self) {
        let Some(calm) = self.calm_since else { return };
        let live = self
            .nodes
            .iter()
            .filter(|node| node.member.is_some())
            .count();
        let mut loads = vec![0u32; self.nodes.len()];
        let mut all = true;
        for shard in 0..self.hub.shards.len() {
            if !self.due(shard) {
                self.owned_at[shard] = self.now;
                continue;
            }
            let owner =
                (0..self.nodes.len()).find(|&at| self.nodes[at].may_deliver(shard, self.now));
            match owner {
                Some(at) => {
                    loads[at] += 1;
                    self.owned_at[shard] = self.now;
                }
                None => {
                    all = false;
                    let since = self.owned_at[shard].max(calm);
                    if self.now - since > self.patience() && live > 0 {
                        let row = self.store.lease(shard);
                        self.broken(format!("s{shard} has no owner, and all is calm: {row:?}"));
                    }
                }
            }
        }
        let settled = calm.max(self.changed_at) + self.settling();
        if self.now < settled || !all {
            return;
        }
        self.told.even += 1;
        let nodes = self.nodes.iter().enumerate();
        let members = nodes.filter(|(_, node)| node.member.is_some());
        let loads: Vec<_> = members.map(|(at, _)| loads[at]).collect();
        let (least, most) = (loads.iter().min(), loads.iter().max());
        if most > least.map(|least| least + 1).as_ref() {
            self.broken(format!("the shares are uneven, and all is calm: {loads:?}"));
        }
    }

    /// Whether a partition must have an owner: it is begun, or waits for nothing, by its row or by
    /// what the hub has left of its parents.
    fn due(&self, shard: usize) -> bool {
        let finished = |index: usize| {
            let lease = self.store.lease(index);
            lease.is_some_and(|lease| lease.checkpoint.finished)
        };
        if finished(shard) {
            return false;
        }
        let lease = self.store.lease(shard);
        let open = lease.is_some_and(|lease| {
            let mut parents = lease.parents.iter();
            parents.all(|parent| finished(Hub::index(parent)))
        });
        let begun = |&parent: &usize| finished(parent) || self.hub.is_gone(parent);
        open || !self.hub.is_gone(shard) && self.hub.shards[shard].parents.iter().all(begun)
    }

    /// For how long a partition may be without an owner: what was still on its way to the store, a
    /// lease that runs out after it was last seen to change, a handover, a listing of the hub.
    fn patience(&self) -> u64 {
        4 * self.lease + 100 * SECOND
    }

    /// For how long the shares may be uneven after the last change.
    fn settling(&self) -> u64 {
        6 * self.lease + 150 * SECOND
    }
}

fn position(lease: &Lease) -> u64 {
    number(lease.checkpoint.position.as_deref())
}
