//! What came to the members, shard by shard, and whether it may have come so.

use anyhub_core::{Batch, Change, Partition, PartitionLag, Position};
use anyhub_members::{KEYS, Outcome, number};
use std::collections::{HashMap, HashSet};

/// Everything that came, on one clock of events.
#[derive(Default)]
pub(crate) struct Book {
    clock: u64,
    shards: HashMap<Partition, Shard>,
    seen: HashMap<u64, (Partition, Position)>,
    last_of_key: HashMap<u64, u64>,
    pub(crate) out_of_order: u64,
    /// Events that came again to a shard's next owner, and how many more could not have been
    /// committed when it took the shard up.
    pub(crate) again: u64,
    pub(crate) outside: u64,
    /// Events that came more often than that.
    pub(crate) too_often: u64,
    /// Events that stand in the log twice, as readers see it.
    pub(crate) twice: u64,
    pub(crate) changes: u64,
}

#[derive(Default)]
struct Shard {
    first: Option<u64>,
    last_ack: u64,
    delivered: HashSet<String>,
    /// What the next owner may deliver again.
    allowed: HashSet<String>,
}

impl Book {
    /// Events that came at all.
    pub(crate) fn distinct(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Takes in a batch. `lag`: where the group stands in each shard, from before it is acknowledged.
    pub(crate) fn came(&mut self, batch: &Batch, lag: &[PartitionLag]) -> Outcome {
        for change in &batch.changes {
            if let Change::Assigned(partitions) = change {
                for partition in partitions {
                    self.changes += 1;
                    self.taken_up(partition, lag);
                }
            }
        }
        for delivery in &batch.deliveries {
            self.clock += 1;
            let number = number(delivery)?;
            let shard = self.shards.entry(delivery.partition.clone()).or_default();
            shard.first.get_or_insert(self.clock);
            let at = delivery.position.to_string();
            if !shard.delivered.insert(at.clone()) {
                self.again += 1;
                self.too_often += u64::from(!shard.allowed.remove(&at));
                continue;
            }
            let place = (delivery.partition.clone(), delivery.position.clone());
            if self.seen.insert(number, place).is_some() {
                self.twice += 1;
                continue;
            }
            let last = self.last_of_key.insert(number % KEYS, number);
            self.out_of_order += u64::from(last.is_some_and(|last| last > number));
        }
        Ok(())
    }

    fn taken_up(&mut self, partition: &Partition, lag: &[PartitionLag]) {
        let shard = self.shards.entry(partition.clone()).or_default();
        let committed = lag.iter().find(|lag| lag.partition == *partition);
        let committed = committed.and_then(|lag| lag.committed.clone());
        let is_outside = |at: &&String| match (at.parse::<Position>(), &committed) {
            (Ok(at), Some(committed)) => at.cmp_in_partition(committed).is_ge(),
            _ => true,
        };
        shard.allowed = shard.delivered.iter().filter(is_outside).cloned().collect();
        self.outside += shard.allowed.len() as u64;
    }

    /// The batch was acknowledged.
    pub(crate) fn acked(&mut self, batch: &Batch) {
        for delivery in &batch.deliveries {
            let clock = self.clock;
            if let Some(shard) = self.shards.get_mut(&delivery.partition) {
                shard.last_ack = clock;
            }
        }
    }

    /// How many shards were begun before one of their parents was acknowledged to its end.
    pub(crate) fn early<'a>(&self, parents: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
        let of = |shard: &str| self.shards.get(&Partition::named(shard));
        let early = parents.filter(|(child, parent)| match (of(child), of(parent)) {
            (Some(child), Some(parent)) => {
                child.first.is_some_and(|first| first <= parent.last_ack)
            }
            _ => false,
        });
        early.count() as u64
    }
}
