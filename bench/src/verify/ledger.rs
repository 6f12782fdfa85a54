//! Both sides of one phase: how each send ended, and what was received.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use anyhub_core::{Partition, Position};

use super::{
    findings::{Finding, Findings, KEPT},
    positions::Place,
};
use crate::payload::{Damage, Header};

/// What a ledger takes for each event: one word for its send, one for its delivery.
pub const BYTES_PER_EVENT: usize = 2 * size_of::<AtomicU32>();
/// What it takes for each key.
pub const BYTES_PER_KEY: usize = size_of::<Lane>();

/// Every event of one phase, known by key and sequence number.
///
/// How many events each key gets is known before the phase begins, so both sides are flat arrays:
/// nothing is allocated meanwhile, producers and consumers share them without a lock, and a
/// delivery may come before its acknowledgement. Each event is written by one task at a time; what
/// the two sides say is put together in [`finish`](Self::finish), after they have stopped.
#[derive(Debug)]
pub struct Ledger {
    run: u64,
    lanes: Box<[Lane]>,
    /// [`UNSENT`] and so on in the low bits, the place on the receipt above them.
    sends: Box<[AtomicU32]>,
    /// [`DELIVERED`] and so on in the low bits, the place of the first delivery above them.
    arrivals: Box<[AtomicU32]>,
    phantom: AtomicU64,
    corrupt: AtomicU64,
    redelivered: AtomicU64,
    replay: AtomicU64,
    /// Found on the way, with where it was received; bounded by [`KEPT`].
    found: Mutex<Vec<Finding>>,
}

/// The events of one key.
#[derive(Debug)]
struct Lane {
    first: u64,
    count: u32,
    /// One past the highest number seen.
    newest: AtomicU32,
    /// One past the number seen last: less than `newest` while a replay runs.
    cursor: AtomicU32,
    /// Log order and sequence differ for a known reason, so a replay can't be followed by numbers.
    uneven: AtomicBool,
}

/// How a send ended (P2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Written, and where, if the hub tells.
    Acked(Option<Place>),
    /// Not written.
    Failed,
    /// Perhaps written.
    Indeterminate,
}

/// What a delivery was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The event for the first time.
    First,
    /// The event again, from the same place.
    Again,
    /// Another copy of the event, at another place.
    Duplicate,
    /// An event that nobody planned.
    Phantom,
}

const UNSENT: u32 = 0;
const SENT: u32 = 1;
const ACKED: u32 = 2;
const FAILED: u32 = 3;
const INDETERMINATE: u32 = 4;
const OUTCOME: u32 = 0b111;

const DELIVERED: u32 = 1;
/// Came damaged, by its own account of who it is.
const CORRUPT: u32 = 2;
/// First came after a later one of its key.
const LATE: u32 = 4;
/// Came from a second place too.
const DUPLICATE: u32 = 8;
const SHIFT: u32 = u32::BITS - Place::BITS;

impl Ledger {
    /// For the events of `run`: `counts[key]` of them for each key.
    pub fn new(run: u64, counts: &[u32]) -> Self {
        let mut first = 0;
        let lanes = counts
            .iter()
            .map(|&count| {
                let lane = Lane {
                    first,
                    count,
                    newest: AtomicU32::new(0),
                    cursor: AtomicU32::new(0),
                    uneven: AtomicBool::new(false),
                };
                first += u64::from(count);
                lane
            })
            .collect();
        let words = || (0..first).map(|_| AtomicU32::new(0)).collect();
        Self {
            run,
            lanes,
            sends: words(),
            arrivals: words(),
            phantom: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
            redelivered: AtomicU64::new(0),
            replay: AtomicU64::new(0),
            found: Mutex::new(Vec::new()),
        }
    }

    /// The run that its events carry.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// How many events are planned.
    pub fn len(&self) -> u64 {
        self.sends.len() as u64
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.sends.is_empty()
    }

    /// What the two arrays and the keys take.
    pub fn memory_bytes(&self) -> usize {
        self.sends.len() * BYTES_PER_EVENT + self.lanes.len() * BYTES_PER_KEY
    }

    /// Where the event stands among all of the phase, in key and sequence order. None for one that
    /// is not planned.
    #[inline]
    pub fn index(&self, key: u32, sequence: u64) -> Option<usize> {
        let lane = self.lanes.get(key as usize)?;
        (sequence < u64::from(lane.count)).then(|| (lane.first + sequence) as usize)
    }

    /// The event is about to be handed to the producer; said before it is.
    #[inline]
    pub fn sent(&self, key: u32, sequence: u64) {
        if let Some(index) = self.index(key, sequence) {
            self.sends[index].store(SENT, Relaxed);
        }
    }

    /// It was not handed over after all: the producer took nothing of the batch.
    pub fn withdrawn(&self, key: u32, sequence: u64) {
        if let Some(index) = self.index(key, sequence) {
            self.sends[index].store(UNSENT, Relaxed);
        }
    }

    /// Its send ended.
    #[inline]
    pub fn resolved(&self, key: u32, sequence: u64, outcome: Outcome) {
        let word = match outcome {
            Outcome::Acked(place) => ACKED | place.map_or(0, Place::bits) << SHIFT,
            Outcome::Failed => FAILED,
            Outcome::Indeterminate => INDETERMINATE,
        };
        if let Some(index) = self.index(key, sequence) {
            self.sends[index].store(word, Relaxed);
        }
    }

    /// An intact event was received.
    #[inline]
    pub fn delivered(&self, header: &Header, partition: &Partition, position: &Position) -> Seen {
        let planned = if header.run == self.run {
            self.index(header.key, header.sequence)
        } else {
            None
        };
        let Some(index) = planned else {
            self.phantom.fetch_add(1, Relaxed);
            self.note("phantom", Some(header), Some((partition, position)), || {
                "an event of another run, or one that was never planned".into()
            });
            return Seen::Phantom;
        };
        let place = Place::of(partition, position);
        let lane = &self.lanes[header.key as usize];
        let number = header.sequence as u32;
        let arrival = &self.arrivals[index];
        let mut before = arrival.load(Relaxed);
        loop {
            let seen = if before & DELIVERED == 0 {
                let late = number < lane.newest.load(Relaxed);
                let word = DELIVERED | (before & CORRUPT) | if late { LATE } else { 0 };
                (word | place.bits() << SHIFT, Seen::First)
            } else if before >> SHIFT == place.bits() {
                self.again(lane, header, partition, position);
                return Seen::Again;
            } else {
                (before | DUPLICATE, Seen::Duplicate)
            };
            // Two consumers may hold the same event at a change of owners.
            match arrival.compare_exchange_weak(before, seen.0, Relaxed, Relaxed) {
                Err(now) => before = now,
                Ok(_) if seen.1 == Seen::First => {
                    self.first(lane, header, partition, position);
                    return Seen::First;
                }
                Ok(_) => {
                    lane.uneven.store(true, Relaxed);
                    self.note(
                        "duplicate",
                        Some(header),
                        Some((partition, position)),
                        || "stands at another position too".into(),
                    );
                    return Seen::Duplicate;
                }
            }
        }
    }

    #[inline]
    fn first(&self, lane: &Lane, header: &Header, partition: &Partition, position: &Position) {
        let number = header.sequence as u32;
        let newest = lane.newest.load(Relaxed);
        if number < newest {
            lane.uneven.store(true, Relaxed);
            self.note("order", Some(header), Some((partition, position)), || {
                format!("came after number {} of its key", newest - 1)
            });
            return;
        }
        if lane.cursor.load(Relaxed) < newest {
            self.followed(lane, header, partition, position);
        }
        lane.newest.store(number + 1, Relaxed);
        lane.cursor.store(number + 1, Relaxed);
    }

    /// A rewind may go back to any event; from there on every event of the key that had been
    /// delivered comes again, in order (C6).
    #[cold]
    fn again(&self, lane: &Lane, header: &Header, partition: &Partition, position: &Position) {
        self.redelivered.fetch_add(1, Relaxed);
        let number = header.sequence as u32;
        if number > lane.cursor.load(Relaxed) {
            self.followed(lane, header, partition, position);
        }
        lane.cursor.store(number + 1, Relaxed);
    }

    /// Checks that a replay left nothing out between the last delivery of the key and this one.
    #[cold]
    fn followed(&self, lane: &Lane, header: &Header, partition: &Partition, position: &Position) {
        if lane.uneven.load(Relaxed) {
            return;
        }
        let first = lane.first as usize;
        let (from, to) = (lane.cursor.load(Relaxed) as usize, header.sequence as usize);
        let left_out =
            (from..to).find(|number| self.arrivals[first + number].load(Relaxed) & DELIVERED != 0);
        if let Some(number) = left_out {
            self.replay.fetch_add(1, Relaxed);
            self.note("replay", Some(header), Some((partition, position)), || {
                format!("the replay left out number {number}, which had been delivered before")
            });
        }
    }

    /// A damaged event was received; `header` is what it says of itself, if it says anything.
    pub fn damaged(
        &self,
        damage: Damage,
        header: Option<&Header>,
        partition: &Partition,
        position: &Position,
    ) {
        self.corrupt.fetch_add(1, Relaxed);
        let claimed = header.filter(|header| header.run == self.run);
        if let Some(index) = claimed.and_then(|header| self.index(header.key, header.sequence)) {
            self.arrivals[index].fetch_or(CORRUPT, Relaxed);
        }
        self.note("corrupt", claimed, Some((partition, position)), || {
            damage.to_string()
        });
    }

    /// Acknowledged events that were not received yet.
    pub fn outstanding(&self) -> u64 {
        (0..self.sends.len())
            .filter(|index| self.is_missing(*index))
            .count() as u64
    }

    /// Whether this event was acknowledged and not received, not even damaged.
    #[inline]
    pub fn is_missing(&self, index: usize) -> bool {
        self.sends[index].load(Relaxed) & OUTCOME == ACKED
            && self.arrivals[index].load(Relaxed) & (DELIVERED | CORRUPT) == 0
    }

    /// Acknowledged events that came, but not from where their receipts say. The copy that a receipt
    /// names may still be on its way: a producer that was left without an answer has sent twice.
    pub fn unconfirmed(&self) -> u64 {
        let both = self.sends.iter().zip(&self.arrivals);
        both.filter(|(send, arrival)| is_elsewhere(send.load(Relaxed), arrival.load(Relaxed)))
            .count() as u64
    }

    /// Every event as (key, sequence number), in the order of [`index`](Self::index).
    pub fn ids(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let lanes = self.lanes.iter().zip(0u32..);
        lanes
            .flat_map(|(lane, key)| (0..u64::from(lane.count)).map(move |sequence| (key, sequence)))
    }

    /// Puts both sides together. `name` gives the text of a key.
    pub fn finish(&self, name: impl Fn(u32) -> String) -> Findings {
        let mut all = Findings {
            phantom: self.phantom.load(Relaxed),
            corrupt: self.corrupt.load(Relaxed),
            redelivered: self.redelivered.load(Relaxed),
            replay_violations: self.replay.load(Relaxed),
            ..Findings::default()
        };
        let mut missed = Vec::new();
        for (lane, key) in self.lanes.iter().zip(0u32..) {
            let range = lane.first as usize..lane.first as usize + lane.count as usize;
            let newest = lane.newest.load(Relaxed) as usize;
            let mut any = false;
            for (number, (send, arrival)) in self.sends[range.clone()]
                .iter()
                .zip(&self.arrivals[range])
                .enumerate()
            {
                let (send, arrival) = (send.load(Relaxed), arrival.load(Relaxed));
                let delivered = arrival & DELIVERED != 0;
                any |= delivered;
                let wrong = all.judge(send, arrival, number < newest);
                if let Some(what) = wrong
                    && missed.len() < KEPT
                {
                    missed.push(Finding {
                        what,
                        key: Some(name(key)),
                        sequence: Some(number as u64),
                        outcome: Some(outcome(send)),
                        at: None,
                        why: None,
                    });
                }
            }
            all.keys += u64::from(any);
        }
        let mut found = self.found().clone();
        for finding in &mut found {
            let id = finding
                .key
                .as_ref()
                .and_then(|key| key.parse().ok())
                .zip(finding.sequence);
            if let Some((key, sequence)) = id {
                finding.outcome = self
                    .index(key, sequence)
                    .map(|index| outcome(self.sends[index].load(Relaxed)));
                finding.key = Some(name(key));
            }
        }
        // A late or duplicate event whose send was indeterminate is legal (P3).
        found.retain(|finding| match finding.what {
            "order" => finding.outcome == Some("acked"),
            _ => true,
        });
        found.extend(missed);
        found.truncate(KEPT);
        all.first = found;
        all
    }

    fn note(
        &self,
        what: &'static str,
        header: Option<&Header>,
        at: Option<(&Partition, &Position)>,
        why: impl FnOnce() -> String,
    ) {
        let mut found = self.found();
        if found.len() < KEPT {
            found.push(Finding {
                what,
                // A number until `finish`, which knows the names.
                key: header.map(|header| header.key.to_string()),
                sequence: header.map(|header| header.sequence),
                outcome: None,
                at: at.map(|(partition, position)| format!("{partition}/{position}")),
                why: Some(why()),
            });
        }
    }

    fn found(&self) -> MutexGuard<'_, Vec<Finding>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Findings {
    /// Counts one event, and names what is wrong with it where that was not found on the way.
    fn judge(&mut self, send: u32, arrival: u32, overtaken: bool) -> Option<&'static str> {
        let delivered = arrival & DELIVERED != 0;
        let state = send & OUTCOME;
        self.sent += u64::from(state != UNSENT);
        self.delivered += u64::from(delivered);
        self.duplicates_in_log += u64::from(arrival & DUPLICATE != 0);
        match state {
            ACKED => {
                self.acked += 1;
                self.duplicates_of_acked += u64::from(arrival & DUPLICATE != 0);
                self.order_violations += u64::from(arrival & LATE != 0);
                if arrival & (DELIVERED | CORRUPT) == 0 {
                    self.lost += 1;
                    self.gaps += u64::from(overtaken);
                    return Some("lost");
                }
                if is_elsewhere(send, arrival) {
                    self.position_violations += 1;
                    return Some("position");
                }
                None
            }
            SENT | INDETERMINATE => {
                self.indeterminate += 1;
                self.unresolved += u64::from(state == SENT);
                self.indeterminate_seen += u64::from(delivered);
                None
            }
            _ => {
                self.failed += u64::from(state == FAILED);
                self.phantom += u64::from(delivered);
                delivered.then_some("phantom")
            }
        }
    }
}

/// Acknowledged at one place, delivered from another, and not from two: with two copies in the log
/// the receipt may name the other one.
fn is_elsewhere(send: u32, arrival: u32) -> bool {
    let (told, seen) = (send >> SHIFT, arrival >> SHIFT);
    send & OUTCOME == ACKED
        && arrival & (DELIVERED | DUPLICATE) == DELIVERED
        && told != 0
        && told != seen
}

fn outcome(send: u32) -> &'static str {
    match send & OUTCOME {
        UNSENT => "never sent",
        SENT => "unresolved",
        ACKED => "acked",
        FAILED => "failed",
        _ => "indeterminate",
    }
}
