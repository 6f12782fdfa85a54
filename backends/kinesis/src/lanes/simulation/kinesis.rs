//! A model of Kinesis: shards, their history, and one log of what was put, in the order of its
//! arrival. Of one key that is the order along the shards' lineage, as a key's hash lies in one open
//! shard at a time.

use crate::{aggregate::HashRange, shards::Shard};
use anyhub_core::driver::Sequence;
use rand::{RngExt, rngs::StdRng};
use std::{sync::Arc, time::Instant};

/// An event: its key, and which of it.
pub(super) type Id = (u32, u32);

/// A record on its way: events with their hashes; the first one's decides.
pub(super) type Sent = Vec<(u128, Id)>;

#[derive(Debug)]
pub(super) struct Put {
    pub(super) shard: Arc<str>,
    pub(super) at: Sequence,
    pub(super) events: Vec<Id>,
    /// Readers give it: all of its events lie within the shard, or it is plain.
    pub(super) counts: bool,
}

#[derive(Debug)]
pub(super) struct Kinesis {
    pub(super) shards: Vec<Shard>,
    pub(super) log: Vec<Put>,
    /// The shards at every time since which they have been so.
    history: Vec<(Instant, Vec<Shard>)>,
}

impl Kinesis {
    pub(super) fn new(count: u32, now: Instant) -> Self {
        let step = u128::MAX / u128::from(count);
        let end = |nth: u32| match nth + 1 == count {
            true => u128::MAX,
            false => step * u128::from(nth + 1) - 1,
        };
        let mut this = Self {
            shards: Vec::new(),
            log: Vec::new(),
            history: Vec::new(),
        };
        for nth in 0..count {
            this.open(
                HashRange::new(step * u128::from(nth)..=end(nth)),
                Vec::new(),
            );
        }
        this.history.push((now, this.shards.clone()));
        this
    }

    pub(super) fn put(&mut self, record: &Sent) -> (String, Sequence) {
        let hash = record[0].0;
        let shard = self
            .shards
            .iter()
            .find(|shard| shard.open && shard.range.contains(hash));
        let shard = shard.unwrap();
        let at = Sequence::at(&(self.log.len() + 1).to_string(), 0).unwrap();
        let inside = record.iter().all(|(hash, _)| shard.range.contains(*hash));
        self.log.push(Put {
            shard: shard.id.clone(),
            at,
            events: record.iter().map(|(_, id)| *id).collect(),
            counts: inside || record.len() == 1,
        });
        (shard.id.to_string(), at)
    }

    /// The shards as they were then.
    pub(super) fn listed(&self, then: Instant) -> Vec<Shard> {
        let known = self.history.iter().rev().find(|(since, _)| *since <= then);
        known.unwrap_or(&self.history[0]).1.clone()
    }

    /// Splits a shard, or merges two.
    pub(super) fn reshard(&mut self, now: Instant, rng: &mut StdRng) {
        let mut open: Vec<usize> = (0..self.shards.len()).collect();
        open.retain(|nth| self.shards[*nth].open);
        open.sort_by_key(|nth| self.shards[*nth].range.start());
        if open.len() > 1 && rng.random_bool(0.5) {
            let left = rng.random_range(0..open.len() - 1);
            let (left, right) = (open[left], open[left + 1]);
            let range = self.shards[left].range.start()..=self.shards[right].range.end();
            let parents = [left, right].map(|nth| self.close(nth)).to_vec();
            self.open(HashRange::new(range), parents);
        } else {
            let shard = open[rng.random_range(0..open.len())];
            let range = self.shards[shard].range;
            let at = rng.random_range(range.start()..range.end()) + 1;
            let parent = self.close(shard);
            self.open(HashRange::new(range.start()..=at - 1), vec![parent.clone()]);
            self.open(HashRange::new(at..=range.end()), vec![parent]);
        }
        self.history.push((now, self.shards.clone()));
    }

    fn close(&mut self, nth: usize) -> Arc<str> {
        self.shards[nth].open = false;
        self.shards[nth].id.clone()
    }

    fn open(&mut self, range: HashRange, parents: Vec<Arc<str>>) {
        self.shards.push(Shard {
            id: format!("shardId-{:012}", self.shards.len()).into(),
            parents,
            range,
            start: Sequence::at("1", 0).unwrap(),
            open: true,
        });
    }
}
