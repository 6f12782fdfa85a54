//! Delivery verified from what was sent and what was received, never from what a client claims.

use crate::{Failure, Outcome, failure::ensure, stamp::Stamp};
use anyhub_core::{Change, Delivery, Partition, Position, Receipt, Result};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What was sent and what came, and the verdict on both.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sent: BTreeMap<u32, (Stamp, Fate)>,
    came: Vec<Came>,
    corrupt: Vec<String>,
    /// Raised at each change of a member's partitions: monotonic state begins anew.
    stints: HashMap<(usize, Partition), u32>,
}

/// How a send ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Written(Receipt),
    Failed,
    /// It may have been written; seen or unseen, both are legal.
    Indeterminate,
}

#[derive(Debug)]
struct Came {
    stamp: Stamp,
    partition: Partition,
    position: Position,
    attempt: u32,
    stint: (usize, u32),
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Notes the outcome of a send.
    pub(crate) fn sent(&mut self, stamp: Stamp, outcome: Result<Receipt>) {
        let fate = match outcome {
            Ok(receipt) => Fate::Written(receipt),
            Err(error) if error.is_indeterminate() => Fate::Indeterminate,
            Err(_) => Fate::Failed,
        };
        self.sent.insert(stamp.id, (stamp, fate));
    }

    /// How many sends have a receipt.
    pub(crate) fn written(&self) -> usize {
        let fates = self.sent.values();
        fates
            .filter(|(_, fate)| matches!(fate, Fate::Written(_)))
            .count()
    }

    /// How many sends ended indeterminate, and how many of those were seen.
    pub(crate) fn indeterminate(&self) -> (usize, usize) {
        let seen: HashSet<u32> = self.came.iter().map(|came| came.stamp.id).collect();
        let open = self
            .sent
            .values()
            .filter(|(_, fate)| *fate == Fate::Indeterminate);
        open.fold((0, 0), |(all, known), (stamp, _)| {
            (all + 1, known + usize::from(seen.contains(&stamp.id)))
        })
    }

    /// Follows the changes that member `reader` was told of.
    pub(crate) fn changed(&mut self, reader: usize, changes: &[Change]) {
        for change in changes {
            if let Change::Assigned(partitions)
            | Change::Revoked(partitions)
            | Change::Lost(partitions) = change
            {
                for partition in partitions {
                    *self.stints.entry((reader, partition.clone())).or_default() += 1;
                }
            }
        }
    }

    /// Notes a delivery to member `reader`.
    pub(crate) fn came(&mut self, reader: usize, delivery: &Delivery) {
        let place = format!("{}@{}", delivery.partition, delivery.position);
        match Stamp::read(&delivery.event) {
            None => self.corrupt.push(place),
            Some(stamp) => {
                let stint = (reader, delivery.partition.clone());
                self.came.push(Came {
                    stamp,
                    partition: delivery.partition.clone(),
                    position: delivery.position.clone(),
                    attempt: delivery.attempt.get(),
                    stint: (reader, self.stints.get(&stint).copied().unwrap_or_default()),
                });
            }
        }
    }

    /// How many different events came.
    pub(crate) fn distinct(&self) -> usize {
        let ids: HashSet<u32> = self.came.iter().map(|came| came.stamp.id).collect();
        ids.len()
    }

    /// The ids that have a receipt and never came.
    pub(crate) fn lost(&self) -> Vec<u32> {
        let seen: HashSet<u32> = self.came.iter().map(|came| came.stamp.id).collect();
        let written = self.sent.values();
        written
            .filter(|(stamp, fate)| matches!(fate, Fate::Written(_)) && !seen.contains(&stamp.id))
            .map(|(stamp, _)| stamp.id)
            .collect()
    }

    /// Ok if all that was written came, unharmed, once in the log, in order, and nothing else.
    pub(crate) fn verdict(&self) -> Outcome {
        let mut found = Vec::new();
        let mut note = |name: &str, cases: Vec<String>| {
            if let Some(first) = cases.first() {
                found.push(format!("{name}: {} ({first})", cases.len()));
            }
        };
        note(
            "lost",
            self.lost().iter().map(|id| format!("id {id}")).collect(),
        );
        note("phantom", self.phantoms());
        note("corrupt", self.corrupt.clone());
        note("duplicate in the log", self.duplicates());
        note("position", self.misplaced());
        let shape = self.shape();
        note("order", shape.order);
        note("gap", shape.gaps);
        note("redelivered without a cause", shape.redelivered);
        note("replay", shape.replay);
        if found.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(found.join("; ")))
        }
    }

    /// Ok if every replay of a key went on to its newest event: for one reader, which has acked all.
    pub(crate) fn ensure_replays_are_whole(&self) -> Outcome {
        let mut last: HashMap<u32, (u32, &Came)> = HashMap::new();
        for came in &self.came {
            let Stamp { key, seq, .. } = came.stamp;
            let Some(key) = key else { continue };
            let (newest, last) = last.entry(key).or_insert((seq, came));
            (*newest, *last) = (seq.max(*newest), came);
        }
        for (newest, last) in last.values() {
            ensure!(
                last.stamp.seq == *newest,
                "gap: nothing up to event {newest} of its key came again after {}",
                last.describe()
            );
        }
        Ok(())
    }

    fn phantoms(&self) -> Vec<String> {
        let phantom = self
            .came
            .iter()
            .filter(|came| match self.sent.get(&came.stamp.id) {
                None => true,
                Some((stamp, fate)) => *fate == Fate::Failed || *stamp != came.stamp,
            });
        phantom.map(Came::describe).collect()
    }

    fn duplicates(&self) -> Vec<String> {
        let mut places: HashMap<u32, (&Partition, &Position)> = HashMap::new();
        let mut twice = Vec::new();
        for came in &self.came {
            let place = (&came.partition, &came.position);
            let indeterminate = self
                .sent
                .get(&came.stamp.id)
                .is_some_and(|sent| sent.1 == Fate::Indeterminate);
            if *places.entry(came.stamp.id).or_insert(place) != place && !indeterminate {
                twice.push(came.describe());
            }
        }
        twice
    }

    fn misplaced(&self) -> Vec<String> {
        let mut ids: HashMap<(&Partition, &Position), u32> = HashMap::new();
        let mut wrong = Vec::new();
        for came in &self.came {
            let id = *ids
                .entry((&came.partition, &came.position))
                .or_insert(came.stamp.id);
            let told = match self.sent.get(&came.stamp.id) {
                Some((_, Fate::Written(receipt))) => {
                    receipt
                        .partition
                        .as_ref()
                        .is_none_or(|told| *told == came.partition)
                        && receipt
                            .position
                            .as_ref()
                            .is_none_or(|told| *told == came.position)
                }
                _ => true,
            };
            if id != came.stamp.id || !told {
                wrong.push(came.describe());
            }
        }
        wrong
    }

    /// Key order, gaps and replays, from the order in which things came.
    fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        let mut first: HashMap<u32, u32> = HashMap::new();
        let mut seen: HashSet<u32> = HashSet::new();
        let mut in_stint: HashSet<(u32, (usize, u32), &Partition)> = HashSet::new();
        let mut last: HashMap<(u32, (usize, u32), &Partition), u32> = HashMap::new();
        let by_seq: HashMap<(u32, u32), &Fate> = self
            .sent
            .values()
            .filter_map(|(stamp, fate)| Some(((stamp.key?, stamp.seq), fate)))
            .collect();
        for came in &self.came {
            let Stamp { key, seq, id } = came.stamp;
            let again = !in_stint.insert((id, came.stint, &came.partition));
            if again && came.attempt == 1 {
                shape.redelivered.push(came.describe());
            }
            let Some(key) = key else { continue };
            if seen.insert(id) {
                let newest = first.entry(key).or_insert(seq);
                if *newest > seq {
                    shape.order.push(came.describe());
                }
                *newest = seq.max(*newest);
            }
            if let Some(before) = last.insert((key, came.stint, &came.partition), seq) {
                if seq <= before && !again {
                    shape.replay.push(came.describe());
                }
                let skipped = before + 1..seq;
                if skipped
                    .into_iter()
                    .any(|missing| matches!(by_seq.get(&(key, missing)), Some(Fate::Written(_))))
                {
                    shape.gaps.push(came.describe());
                }
            }
        }
        shape
    }
}

#[derive(Default)]
struct Shape {
    order: Vec<String>,
    gaps: Vec<String>,
    redelivered: Vec<String>,
    replay: Vec<String>,
}

impl Came {
    fn describe(&self) -> String {
        let Stamp { key, seq, id } = self.stamp;
        let key = key.map_or("no key".to_owned(), |key| format!("key {key} event {seq}"));
        format!(
            "id {id}, {key}, at {}@{}, attempt {}, member {}",
            self.partition, self.position, self.attempt, self.stint.0
        )
    }
}
