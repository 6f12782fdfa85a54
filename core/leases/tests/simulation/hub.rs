//! The hub whose partitions are leased: a log for each, which may be split and merged.

use anyhub_leases::NewPartition;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Hub {
    pub(crate) shards: Vec<Shard>,
}

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) id: Arc<str>,
    pub(crate) parents: Vec<usize>,
    pub(crate) children: Vec<usize>,
    /// The furthest that anybody has read.
    pub(crate) read: u64,
    /// The last position, once it is closed, and when that was.
    pub(crate) end: Option<(u64, u64)>,
    /// Retention has removed it.
    pub(crate) trimmed: bool,
    /// It was closed before the group began.
    pub(crate) before_start: bool,
}

impl Hub {
    pub(crate) fn add(&mut self, parents: Vec<usize>) -> usize {
        let index = self.shards.len();
        for &parent in &parents {
            self.shards[parent].children.push(index);
        }
        self.shards.push(Shard {
            id: format!("s{index}").into(),
            parents,
            children: Vec::new(),
            read: 0,
            end: None,
            trimmed: false,
            before_start: false,
        });
        index
    }

    pub(crate) fn index(id: &str) -> usize {
        id[1..].parse().unwrap()
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = usize> + '_ {
        let shards = self.shards.iter().enumerate();
        shards
            .filter(|(_, shard)| shard.end.is_none())
            .map(|(index, _)| index)
    }

    /// Nothing is left to be read there.
    pub(crate) fn is_gone(&self, index: usize) -> bool {
        self.shards[index].trimmed || self.shards[index].before_start
    }

    /// What a listing of the hub's partitions shows.
    pub(crate) fn listing(&self) -> Vec<NewPartition> {
        let indices = (0..self.shards.len()).filter(|&index| !self.is_gone(index));
        indices
            .map(|index| {
                let shard = &self.shards[index];
                let waits = shard
                    .parents
                    .iter()
                    .filter(|&&parent| !self.is_gone(parent));
                let parents = waits.map(|&parent| self.shards[parent].id.clone());
                NewPartition::new(shard.id.clone()).parents(parents)
            })
            .collect()
    }

    /// What the end of a partition tells of its children: all of their parents, trimmed or not.
    pub(crate) fn children(&self, index: usize) -> Vec<NewPartition> {
        let children = self.shards[index].children.iter();
        children
            .map(|&child| {
                let shard = &self.shards[child];
                let waits = shard
                    .parents
                    .iter()
                    .filter(|&&it| !self.shards[it].before_start);
                let parents = waits.map(|&parent| self.shards[parent].id.clone());
                NewPartition::new(shard.id.clone()).parents(parents)
            })
            .collect()
    }
}
