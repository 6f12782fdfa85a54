//! Which shard takes which hash keys, as far as is known, and what changes when that does.

use super::{LaneId, Lanes, lane::Lane, request::Undecided};
use crate::{aggregate::HashRange, shards::Shard};
use rand::RngExt;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// The shards as they were listed last.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// Where each open shard begins, in order, and its lane.
    routes: Vec<(u128, LaneId)>,
    /// Of all that are kept, closed ones too.
    ranges: HashMap<Arc<str>, HashRange>,
    /// Named by answers, and not in the last list.
    unknown: HashSet<Arc<str>>,
    wanted: bool,
    /// Records went to shards that are well known, and not to those of their keys.
    astray: bool,
    /// Lanes that are retired and not yet gone.
    pub(super) retired: usize,
    pub(super) bell: Arc<Notify>,
}

impl Map {
    pub(super) fn lane_of(&self, hash: u128) -> Option<LaneId> {
        let behind = self.routes.partition_point(|(start, _)| *start <= hash);
        Some(self.routes.get(behind.checked_sub(1)?)?.1)
    }

    /// A record went there, and not where it was meant to go.
    pub(super) fn found(&mut self, shard: &Arc<str>) {
        if self.ranges.contains_key(shard) {
            self.astray = true;
        } else {
            self.unknown.insert(shard.clone());
        }
        self.wanted = true;
        self.bell.notify_one();
    }

    pub(super) fn is_trusted(&self) -> bool {
        !self.wanted
    }
}

/// Where keyless events go: a hash for some of them, so that they share records, then another.
#[derive(Debug, Default)]
pub(super) struct Spread {
    hash: u128,
    bytes_left: usize,
    until: Option<Instant>,
}

/// One PUT payload unit.
const TOGETHER: usize = 25 << 10;
const TOGETHER_FOR: Duration = Duration::from_millis(5);

impl Lanes {
    /// Whether a fresh list of shards is wanted.
    pub(crate) fn wants_map(&self) -> bool {
        self.map.wanted
    }

    /// Takes over the stream's shards as listed. The new lanes, each of which needs a task.
    ///
    /// Any list does no harm, old or new: where lanes overlap, the younger ones wait. One whose
    /// open shards don't cover every hash key once is of a moment in between, and is not taken.
    pub(crate) fn mapped(&mut self, shards: Vec<Shard>, now: Instant) -> Vec<LaneId> {
        let mut open: Vec<&Shard> = shards.iter().filter(|shard| shard.open).collect();
        open.sort_by_key(|shard| shard.range.start());
        if !tile(&open) {
            self.map.wanted = true;
            return Vec::new();
        }
        self.map.ranges = shards
            .iter()
            .map(|shard| (shard.id.clone(), shard.range))
            .collect();
        let ranges = &self.map.ranges;
        self.map.unknown.retain(|shard| !ranges.contains_key(shard));
        self.map.wanted = !self.map.unknown.is_empty();
        let lanes: Vec<LaneId> = self.lanes.iter().map(|(id, _)| id).collect();
        for id in lanes {
            for undecided in std::mem::take(&mut self.lanes[id].undecided) {
                self.decide(id, undecided, now);
            }
        }
        let born = self.follow(&open);
        if born.is_empty() && std::mem::take(&mut self.map.astray) && self.map.is_trusted() {
            tracing::warn!("records go to other shards than those of their partition keys");
        }
        // What holds lanes back may be over, and there may be new ones.
        for (_, lane) in &mut self.lanes {
            lane.ring();
        }
        self.move_retired(now);
        self.end_if_idle();
        born
    }

    /// Decides on a mixed record that went to another shard, if that one is known.
    pub(super) fn decide(&mut self, id: LaneId, undecided: Undecided, now: Instant) {
        match self.map.ranges.get(&undecided.shard).copied() {
            Some(range) => {
                #[cfg(test)]
                let range = self.flaw_of_range(range);
                let again = undecided.decide(&range);
                #[cfg(test)]
                let again = self.flaw_of_again(again, &range);
                self.put_back(again, now);
            }
            None => {
                if let Some(first) = undecided.expire(now) {
                    self.look_by(first);
                    self.lanes[id].undecided.push(undecided);
                }
            }
        }
    }

    /// A hash for a keyless event of so many bytes.
    pub(super) fn spread_over(&mut self, bytes: usize, now: Instant) -> u128 {
        let goes_on =
            self.spread.bytes_left >= bytes && self.spread.until.is_some_and(|until| now < until);
        if !goes_on || self.settings.together == super::Together::Off {
            // The emptier one of two: nearly as good as the emptiest of all.
            let routes = &self.map.routes;
            let mut one = || routes.get(self.rng.random_range(0..routes.len().max(1)));
            let waiting = |route: &&(u128, LaneId)| self.lanes[route.1].queue.bytes();
            let chosen = [one(), one()].into_iter().flatten().min_by_key(waiting);
            let range = chosen.map_or(HashRange::FULL, |(_, id)| self.lanes[*id].shard.range);
            self.spread = super::Spread {
                hash: self.rng.random_range(range.start()..=range.end()),
                bytes_left: TOGETHER,
                until: Some(now + TOGETHER_FOR),
            };
        }
        self.spread.bytes_left = self.spread.bytes_left.saturating_sub(bytes);
        self.spread.hash
    }

    /// Retires the lanes of shards that are gone, and makes lanes for those that are new.
    fn follow(&mut self, open: &[&Shard]) -> Vec<LaneId> {
        let is_of = |lane: &Lane, shard: &Shard| {
            lane.shard.id == shard.id && lane.shard.range == shard.range
        };
        self.map.retired = 0;
        for (_, lane) in &mut self.lanes {
            lane.retired |= !open.iter().any(|shard| is_of(lane, shard));
            self.map.retired += usize::from(lane.retired);
        }
        let mut born = Vec::new();
        self.map.routes.clear();
        for shard in open {
            let there = self
                .lanes
                .iter()
                .find(|(_, lane)| !lane.retired && is_of(lane, shard));
            let id = match there {
                Some((id, _)) => id,
                None => {
                    let lane = Lane::new((*shard).clone(), self.settings.batch_bytes);
                    let id = self.lanes.insert(lane);
                    born.push(id);
                    id
                }
            };
            self.map.routes.push((shard.range.start(), id));
        }
        born
    }

    /// What waited for shards that are gone goes to the new ones, which have nothing yet.
    fn move_retired(&mut self, now: Instant) {
        let mut moved = Vec::new();
        for (_, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.retired) {
            moved.extend(lane.queue.drain());
        }
        let mut touched = Vec::new();
        for entry in moved {
            if let Some(id) = self.map.lane_of(entry.hash) {
                self.lanes[id].queue.push(entry);
                touched.push(id);
            }
        }
        touched.dedup();
        for id in touched {
            self.lanes[id].grown(now, Duration::ZERO);
        }
    }

    #[cfg(test)]
    fn flaw_of_range(&self, range: HashRange) -> HashRange {
        match self.flaw {
            Some(super::Flaw::Believes) => HashRange::FULL,
            _ => range,
        }
    }

    #[cfg(test)]
    fn flaw_of_again(&self, mut again: Vec<super::Entry>, range: &HashRange) -> Vec<super::Entry> {
        if self.flaw == Some(super::Flaw::OutsideOnly) {
            for entry in again.extract_if(.., |entry| range.contains(entry.hash)) {
                entry.tell(Ok(anyhub_core::Receipt::default()));
            }
        }
        again
    }
}

/// Whether they cover every hash key once; they are in order.
fn tile(open: &[&Shard]) -> bool {
    let mut next = Some(0);
    for shard in open {
        if next != Some(shard.range.start()) {
            return false;
        }
        next = shard.range.end().checked_add(1);
    }
    next.is_none() && !open.is_empty()
}
