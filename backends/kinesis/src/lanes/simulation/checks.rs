//! What must hold at the end.

use super::kinesis::{Id, Kinesis};
use anyhub_core::{Receipt, Result};
use std::collections::{HashMap, HashSet};

/// What has happened, over all seeds: that it was tried at all.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) ok: usize,
    pub(super) unwritten: usize,
    pub(super) indeterminate: usize,
    /// Events that are in the log more than once.
    pub(super) twice: usize,
    pub(super) records_dropped: usize,
    pub(super) lanes_moved: usize,
    pub(super) requests: usize,
}

impl Found {
    pub(super) fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.unwritten += other.unwritten;
        self.indeterminate += other.indeterminate;
        self.twice += other.twice;
        self.records_dropped += other.records_dropped;
        self.lanes_moved += other.lanes_moved;
        self.requests += other.requests;
    }
}

/// Holds the outcomes, in the order of submission, against the log.
pub(super) fn check(
    kinesis: &Kinesis,
    told: &[(Id, Result<Receipt>)],
    keyless: u32,
    lost: &HashMap<Id, usize>,
    found: &mut Found,
) -> std::result::Result<(), String> {
    // Where each event first stands, and how often, as readers see it.
    let mut seen: HashMap<Id, (usize, usize)> = HashMap::new();
    let mut anywhere: HashSet<Id> = HashSet::new();
    let mut places = HashSet::new();
    let mut position = 0;
    for put in &kinesis.log {
        anywhere.extend(&put.events);
        if !put.counts {
            found.records_dropped += 1;
            continue;
        }
        for (index, id) in put.events.iter().enumerate() {
            position += 1;
            seen.entry(*id).or_insert((position, 0)).1 += 1;
            places.insert((put.shard.to_string(), put.at.with_index(index as u32), *id));
        }
    }
    let mut last: HashMap<u32, usize> = HashMap::new();
    for (id, outcome) in told {
        let (first, times) = seen.get(id).copied().unwrap_or_default();
        let most = 1 + lost.get(id).copied().unwrap_or_default();
        if times > most {
            return Err(format!("{id:?} is there {times} times, of at most {most}"));
        }
        found.twice += usize::from(times > 1);
        match outcome {
            Ok(receipt) => {
                found.ok += 1;
                let place = receipt.partition.as_ref().zip(receipt.position.as_ref());
                let (shard, at) = place.ok_or("a receipt tells no place")?;
                let at = at
                    .as_sequence()
                    .ok_or("a receipt tells no sequence number")?;
                if !places.contains(&(shard.to_string(), at, *id)) {
                    return Err(format!(
                        "{id:?} is not at {shard}, {at}, where it was told to be"
                    ));
                }
                let last = last.entry(id.0).or_default();
                if id.0 != keyless && first < *last {
                    return Err(format!("{id:?} comes before an earlier one of its key"));
                }
                *last = first;
            }
            Err(error) if error.is_indeterminate() => found.indeterminate += 1,
            Err(error) => {
                found.unwritten += 1;
                if anywhere.contains(id) {
                    return Err(format!(
                        "{id:?} is in the log, and was told not to be: {error}"
                    ));
                }
            }
        }
    }
    Ok(())
}
