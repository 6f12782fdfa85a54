//! The lanes of a producer, one for each shard that takes records: what waits in them, what each
//! sends next, and what follows from the answers. Pure: no I/O, and the clock is passed in, so that
//! a simulation can try them hard.
//!
//! Strict order for each key (P3) rests on three rules. A lane has one request in flight; a request
//! has one record of a key at most; what failed goes back before everything later of its key. When
//! shards change, what waits moves to the lanes of the new ones at once, and these send nothing
//! while a request of an older lane over the same hash keys is in flight.

mod entry;
mod lane;
mod map;
mod pace;
mod queue;
mod request;
#[cfg(test)]
mod simulation;

pub(crate) use entry::Entry;
pub(crate) use request::{Answer, Landed, Request, Rest, Together};

use lane::Lane;
use map::{Map, Spread};
use queue::{Most, Taken};
use rand::{SeedableRng, rngs::StdRng};
use slab::Slab;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How lanes work.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) together: Together,
    /// Bytes of one request.
    pub(crate) batch_bytes: usize,
    pub(crate) linger: Duration,
    pub(crate) seed: u64,
}

/// Names a lane to its task; good until its task is told that the lane is gone.
pub(crate) type LaneId = usize;

/// All lanes of a producer.
#[derive(Debug)]
pub(crate) struct Lanes {
    settings: Settings,
    lanes: Slab<Lane>,
    map: Map,
    spread: Spread,
    /// How many flushes wait.
    hurries: usize,
    ending: bool,
    ended: Arc<Notify>,
    /// When what is late is looked for next, and rung if that is too late.
    looks_at: Option<Instant>,
    late_bell: Arc<Notify>,
    rng: StdRng,
    #[cfg(test)]
    flaw: Option<Flaw>,
}

/// What a lane does next.
#[derive(Debug)]
pub(crate) enum Step {
    Send(Request),
    /// Wait for the bell, or for this time.
    Wait(Option<Instant>),
    /// Nothing more, ever.
    Gone,
}

/// An aggregate's most bytes. A whole PUT payload unit is 25 KB and shards are throttled as records,
/// so that larger ones waste less of both; but one that is refused has to be sent again as a whole,
/// and a quarter of what a shard takes in a second is enough to fill it.
const RECORD: usize = 256 << 10;

impl Lanes {
    /// Without lanes, until [`mapped`](Self::mapped).
    pub(crate) fn new(settings: Settings) -> Self {
        let rng = StdRng::seed_from_u64(settings.seed);
        Self {
            settings,
            lanes: Slab::new(),
            map: Map::default(),
            spread: Spread::default(),
            hurries: 0,
            ending: false,
            ended: Arc::default(),
            looks_at: None,
            late_bell: Arc::default(),
            rng,
            #[cfg(test)]
            flaw: None,
        }
    }

    /// Rung when the lane may have something to do before its time.
    pub(crate) fn bell(&self, lane: LaneId) -> Option<Arc<Notify>> {
        self.lanes.get(lane).map(|lane| lane.bell.clone())
    }

    /// Rung when a fresh list of shards is wanted.
    pub(crate) fn map_bell(&self) -> Arc<Notify> {
        self.map.bell.clone()
    }

    /// Rung when [`expire`](Self::expire) is to be called before the time that it told.
    pub(crate) fn late_bell(&self) -> Arc<Notify> {
        self.late_bell.clone()
    }

    /// Rung once, for all who wait, when all is done after [`end`](Self::end).
    pub(crate) fn ended(&self) -> Arc<Notify> {
        self.ended.clone()
    }

    /// Takes events in, each behind all of its key.
    pub(crate) fn submit(&mut self, entries: Vec<Entry>, now: Instant) {
        let mut touched: Vec<LaneId> = Vec::new();
        for mut entry in entries {
            if entry.is_keyless() {
                entry.hash = self.spread_over(entry.alone(), now);
            }
            let Some(id) = self.map.lane_of(entry.hash) else {
                continue;
            };
            let lane = &mut self.lanes[id];
            lane.queue.push(entry);
            if !lane.touched {
                lane.touched = true;
                touched.push(id);
            }
        }
        let hurried = self.hurries > 0;
        for id in touched {
            let linger = if hurried {
                Duration::ZERO
            } else {
                self.settings.linger
            };
            self.lanes[id].grown(now, linger);
        }
    }

    /// What the lane's task does next. After Send it answers before it asks again.
    pub(crate) fn next(&mut self, id: LaneId, now: Instant) -> Step {
        if self.lanes.get(id).is_none_or(Lane::is_over) {
            if self.lanes.try_remove(id).is_some() {
                self.map.retired -= 1;
            }
            return Step::Gone;
        }
        if self.ending && self.is_idle() {
            self.lanes.remove(id);
            return Step::Gone;
        }
        let held = self.is_held(id);
        let lane = &mut self.lanes[id];
        let at = match lane.due() {
            Some(at) if !held => at,
            _ => return lane.park(None),
        };
        if at > now {
            return lane.park(Some(at));
        }
        let taken = self.take(id, now);
        let lane = &mut self.lanes[id];
        lane.due = (!lane.queue.is_empty()).then_some(now);
        if taken.records.is_empty() {
            // All of it was late.
            return Step::Wait(Some(now));
        }
        lane.in_flight = true;
        lane.parked = None;
        let (shard, partition) = (lane.shard.clone(), lane.partition.clone());
        Step::Send(Request::new(shard, partition, taken.entries, taken.records))
    }

    /// What is left of the lane's request after its answer.
    pub(crate) fn answered(&mut self, id: LaneId, rest: Rest, now: Instant) {
        #[cfg(test)]
        let rest = self.flaw_of_rest(rest);
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        lane.in_flight = false;
        lane.trouble = rest.trouble;
        lane.pace.answered(&rest.tally, now, &mut self.rng);
        let undecided = rest.undecided.into_iter();
        for shard in &rest.elsewhere {
            self.map.found(shard);
        }
        self.put_back(rest.again, now);
        for undecided in undecided {
            self.decide(id, undecided, now);
        }
        self.released(id);
    }

    /// Tells what is late. When to look again; None: not earlier than a deadline from now.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut late = Vec::new();
        let mut released = Vec::new();
        for (id, lane) in &mut self.lanes {
            let left = lane.queue.late(now, &mut late);
            next = next.into_iter().chain(left).min();
            for entry in late.drain(..) {
                entry.tell_late(false, lane.trouble.as_ref());
            }
            let before = lane.undecided.len();
            lane.undecided.retain(|undecided| {
                let left = undecided.expire(now);
                next = next.into_iter().chain(left).min();
                left.is_some()
            });
            if lane.undecided.len() < before {
                released.push(id);
            }
        }
        for id in released {
            self.released(id);
        }
        self.end_if_idle();
        self.looks_at = next;
        next
    }

    /// Until [`unhurry`](Self::unhurry), nothing waits for more to come.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.hurries += 1;
        for (_, lane) in &mut self.lanes {
            if !lane.queue.is_empty() {
                lane.due = Some(now);
                lane.ring();
            }
        }
    }

    pub(crate) fn unhurry(&mut self) {
        self.hurries = self.hurries.saturating_sub(1);
    }

    /// Nothing more is submitted: when all that is here is told, tasks are told that lanes are gone.
    pub(crate) fn end(&mut self, now: Instant) {
        self.ending = true;
        self.hurry(now);
        self.end_if_idle();
    }

    /// Whether it is ending, and everything is told.
    pub(crate) fn is_done(&self) -> bool {
        self.ending && self.is_idle()
    }

    fn take(&mut self, id: LaneId, now: Instant) -> Taken {
        let together = match self.settings.together {
            // While shards are not known well, a mixed record is likely to be sent again.
            Together::Shard if !self.map.is_trusted() => Together::Key,
            together => together,
        };
        #[cfg(test)]
        let now = self.flaw_of_late(now);
        let lane = &mut self.lanes[id];
        let most = Most {
            records: lane.pace.records,
            bytes: lane.pace.bytes,
            record: RECORD.min(lane.pace.bytes),
            together,
            now,
            #[cfg(test)]
            again: self.flaw == Some(Flaw::Twice),
        };
        let mut taken = Taken::default();
        lane.queue.take(&most, &mut taken);
        for entry in taken.late.drain(..) {
            entry.tell_late(false, lane.trouble.as_ref());
        }
        taken
    }

    /// Back to the head, each to the lane of its hash.
    fn put_back(&mut self, mut entries: Vec<Entry>, now: Instant) {
        let late = entries.extract_if(.., |entry| entry.is_late(now));
        // Told while it was in flight, if not just now.
        late.for_each(|entry| entry.tell_late(false, None));
        if let Some(first) = entries.iter().map(Entry::deadline).min() {
            self.look_by(first);
        }
        while let Some(first) = entries.first() {
            let id = self.map.lane_of(first.hash);
            let of_other = |entry: &Entry| self.map.lane_of(entry.hash) != id;
            let others = entries.extract_if(.., |entry| of_other(entry)).collect();
            if let Some(id) = id {
                let lane = &mut self.lanes[id];
                #[cfg(test)]
                if self.flaw == Some(Flaw::FailedLast) {
                    entries.drain(..).for_each(|entry| lane.queue.push(entry));
                }
                lane.queue.put_back(entries);
                lane.grown(now, Duration::ZERO);
            }
            entries = others;
        }
    }

    /// What is late by then has to be found.
    fn look_by(&mut self, deadline: Instant) {
        if self.looks_at.is_none_or(|at| deadline < at) {
            self.looks_at = Some(deadline);
            self.late_bell.notify_one();
        }
    }

    /// Whether an older lane has a request in flight that may hold this lane's keys.
    fn is_held(&self, id: LaneId) -> bool {
        #[cfg(test)]
        if self.flaw == Some(Flaw::NotHeld) {
            return false;
        }
        let lane = &self.lanes[id];
        !lane.undecided.is_empty()
            || self.map.retired > 0
                && self
                    .lanes
                    .iter()
                    .any(|(_, other)| other.retired && other.is_busy() && other.overlaps(lane))
    }

    /// Something that held others back may be over.
    fn released(&mut self, id: LaneId) {
        if self.lanes.get(id).is_some_and(|lane| lane.retired) {
            for (_, lane) in &mut self.lanes {
                lane.ring();
            }
        } else if let Some(lane) = self.lanes.get_mut(id) {
            lane.ring();
        }
        self.end_if_idle();
    }

    fn is_idle(&self) -> bool {
        self.lanes
            .iter()
            .all(|(_, lane)| lane.queue.is_empty() && !lane.is_busy())
    }

    fn end_if_idle(&mut self) {
        if self.is_done() {
            for (_, lane) in &mut self.lanes {
                lane.ring();
            }
            self.map.bell.notify_one();
            self.late_bell.notify_one();
            self.ended.notify_waiters();
        }
    }

    #[cfg(test)]
    fn flaw_of_rest(&self, mut rest: Rest) -> Rest {
        if self.flaw == Some(Flaw::Forgets) {
            rest.again.iter_mut().for_each(|entry| entry.maybe = false);
        }
        rest
    }

    #[cfg(test)]
    fn flaw_of_late(&self, now: Instant) -> Instant {
        match self.flaw {
            Some(Flaw::SendsLate) => now.checked_sub(Duration::from_secs(3600)).unwrap_or(now),
            _ => now,
        }
    }
}

/// A way to break the lanes on purpose, so that the simulation can prove that it would notice.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// What failed goes behind what came later.
    FailedLast,
    /// A new lane does not wait for the old one's request.
    NotHeld,
    /// What is late is sent all the same.
    SendsLate,
    /// A mixed record counts wherever it went.
    Believes,
    /// Of a mixed record, only what lies outside of the shard is sent again.
    OutsideOnly,
    /// A key has two records in one request.
    Twice,
    /// What was in a request whose answer was lost is taken for unwritten.
    Forgets,
}
