//! What waits to be published, by ordering key: pure, without a clock or I/O.
//!
//! Of a key one request is under way at a time, and what failed goes first in the next one, so that nothing overtakes.
//! What has no key goes as it comes.

use crate::{
    message::{self, REQUEST_BYTES, REQUEST_MESSAGES},
    wire::{Holds, size},
};
use anyhub_core::{Error, Event, Key, Receipt, driver::Submitted};
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// An event on its way.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    event: Event,
    bytes: usize,
    batch: Arc<Submitted>,
    index: u32,
    /// Whether an earlier request with it may have been carried out.
    maybe: bool,
    /// What was in the way last.
    cause: Option<Error>,
}

impl Entry {
    pub(crate) fn new(event: Event, batch: Arc<Submitted>, index: u32) -> Self {
        Self {
            bytes: message::bytes(&event),
            event,
            batch,
            index,
            maybe: false,
            cause: None,
        }
    }

    fn is_late(&self, now: Instant) -> bool {
        self.batch.deadline() <= now
    }

    fn is_before(&self, other: &Self) -> bool {
        self.batch.deadline() < other.batch.deadline()
    }

    fn tell_late(&self) {
        self.batch
            .tell_late(self.index, self.maybe, self.cause.as_ref());
    }
}

impl Holds for Entry {
    fn event(&self) -> &Event {
        &self.event
    }
}

/// Some events of one key, or some without one, which go at once.
#[derive(Debug)]
pub(crate) struct Request {
    lane: u32,
    pub(crate) entries: Arc<Vec<Entry>>,
    /// When the first of them is late.
    pub(crate) deadline: Instant,
}

impl Request {
    /// What it is billed for before its messages have ids and times.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| size(&entry.event)).sum()
    }
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Written,
    /// It was refused for good.
    Refused(Error),
    /// It may be sent again; `maybe`: it may have been carried out.
    Failed {
        error: Error,
        maybe: bool,
    },
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Step {
    Send(Request),
    /// Nothing before then, or before something else happens.
    Wait(Option<Instant>),
    /// The producer is gone, and all is told.
    Gone,
}

/// A request is sent before it is this large, where there is more: a smaller one is on its way sooner.
const FILL: usize = 1 << 20;
/// Requests under way at most: more than a connection of Google's takes at once.
const REQUESTS: usize = 256;
/// The lane of what has no key.
const KEYLESS: u32 = 0;
/// The waits before a failed request goes again.
const BACKOFF: Duration = Duration::from_millis(20);
const BACKOFF_MOST: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Lane {
    key: Option<Key>,
    queue: VecDeque<Entry>,
    bytes: usize,
    /// Requests under way.
    flying: usize,
    /// In `due`.
    due: Option<Instant>,
    /// In `deadlines`: when the first that waits is late.
    late: Option<Instant>,
    failures: u32,
}

impl Lane {
    fn is_full(&self) -> bool {
        self.queue.len() >= REQUEST_MESSAGES || self.bytes >= FILL
    }

    /// The next request's events.
    fn take(&mut self) -> Vec<Entry> {
        let (mut count, mut bytes) = (0, 0);
        for entry in &self.queue {
            let fits = bytes + entry.bytes <= FILL && count < REQUEST_MESSAGES;
            if count > 0 && !fits {
                break;
            }
            bytes += entry.bytes;
            count += 1;
        }
        debug_assert!(
            bytes <= REQUEST_BYTES + REQUEST_BYTES / 8,
            "one event is checked before"
        );
        self.bytes -= bytes;
        self.queue.drain(..count).collect()
    }
}

/// All that waits.
#[derive(Debug)]
pub(crate) struct Outbox {
    lanes: Vec<Lane>,
    free: Vec<u32>,
    keys: FxHashMap<Key, u32>,
    /// Lanes by when they may send.
    due: BTreeSet<(Instant, u32)>,
    /// Lanes by when the first event that waits is late.
    deadlines: BTreeSet<(Instant, u32)>,
    flying: usize,
    linger: Duration,
    hurries: usize,
    ended: bool,
}

impl Outbox {
    pub(crate) fn new(linger: Duration) -> Self {
        Self {
            lanes: vec![Lane::default()],
            free: Vec::new(),
            keys: FxHashMap::default(),
            due: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            flying: 0,
            linger,
            hurries: 0,
            ended: false,
        }
    }

    /// Behind all that was submitted before.
    pub(crate) fn submit(&mut self, entries: impl Iterator<Item = Entry>, now: Instant) {
        let linger = self.linger();
        for entry in entries {
            let id = self.lane_of(&entry.event);
            let lane = &mut self.lanes[id as usize];
            lane.bytes += entry.bytes;
            let first = lane.queue.is_empty();
            let deadline = entry.batch.deadline();
            lane.queue.push_back(entry);
            let full = lane.is_full();
            if first {
                self.watch(id, Some(deadline));
            }
            let lane = &self.lanes[id as usize];
            if lane.key.is_some() && lane.flying > 0 {
                continue;
            }
            match lane.due {
                None => self.set_due(id, Some(if full { now } else { now + linger })),
                Some(due) if full && due > now && lane.failures == 0 => self.set_due(id, Some(now)),
                Some(_) => {}
            }
        }
    }

    fn linger(&self) -> Duration {
        match self.hurries {
            0 => self.linger,
            _ => Duration::ZERO,
        }
    }

    fn lane_of(&mut self, event: &Event) -> u32 {
        let Some(key) = &event.key else {
            return KEYLESS;
        };
        if let Some(id) = self.keys.get(key) {
            return *id;
        }
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.lanes.push(Lane::default());
                self.lanes.len() as u32 - 1
            }
        };
        // A key of its own: one that is a slice would keep a whole batch of the application's.
        let key = Key::from(bytes::Bytes::copy_from_slice(key.as_bytes()));
        self.lanes[id as usize].key = Some(key.clone());
        self.keys.insert(key, id);
        id
    }

    /// What to do now.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        self.expire(now);
        if self.flying < REQUESTS {
            while let Some(&(due, id)) = self.due.first() {
                if due > now {
                    break;
                }
                self.set_due(id, None);
                if let Some(request) = self.take(id, now) {
                    return Step::Send(request);
                }
            }
        }
        if self.ended && self.flying == 0 && self.deadlines.is_empty() {
            return Step::Gone;
        }
        let due = self.due.first().filter(|_| self.flying < REQUESTS);
        let times = [due, self.deadlines.first()];
        Step::Wait(times.into_iter().flatten().map(|(time, _)| *time).min())
    }

    fn take(&mut self, id: u32, now: Instant) -> Option<Request> {
        let linger = self.linger();
        let lane = &mut self.lanes[id as usize];
        let entries = lane.take();
        let deadline = entries.iter().map(|entry| entry.batch.deadline()).min()?;
        lane.flying += 1;
        self.flying += 1;
        // What has no key goes on beside it.
        let again = (lane.key.is_none() && !lane.queue.is_empty()).then(|| match lane.is_full() {
            true => now,
            false => now + linger,
        });
        self.set_due(id, again);
        self.rewatch(id);
        Some(Request {
            lane: id,
            entries: Arc::new(entries),
            deadline,
        })
    }

    /// Takes what became of a request in; `jitter`, from 0 to 1, keeps lanes apart that failed together.
    pub(crate) fn answered(&mut self, request: Request, answer: Answer, now: Instant, jitter: f64) {
        let id = request.lane;
        self.flying -= 1;
        let lane = &mut self.lanes[id as usize];
        lane.flying -= 1;
        match answer {
            Answer::Written => {
                lane.failures = 0;
                for entry in request.entries.iter() {
                    entry.batch.tell(entry.index, Ok(written()));
                }
            }
            Answer::Refused(error) => {
                lane.failures = 0;
                for entry in request.entries.iter() {
                    entry.batch.tell_refused(entry.index, entry.maybe, &error);
                }
            }
            Answer::Failed { error, maybe } => {
                lane.failures = (lane.failures + 1).min(16);
                let entries =
                    Arc::try_unwrap(request.entries).unwrap_or_else(|shared| (*shared).clone());
                // In front, the last one first; of requests without a key, which go side by side, by their deadlines.
                for mut entry in entries.into_iter().rev() {
                    entry.maybe |= maybe;
                    entry.cause = Some(error.clone());
                    if entry.is_late(now) {
                        entry.tell_late();
                        continue;
                    }
                    lane.bytes += entry.bytes;
                    let at = lane.queue.partition_point(|other| other.is_before(&entry));
                    lane.queue.insert(at, entry);
                }
            }
        }
        self.settle(id, now, jitter);
    }

    /// When a lane goes on, or that there is nothing left of it.
    fn settle(&mut self, id: u32, now: Instant, jitter: f64) {
        self.rewatch(id);
        let lane = &self.lanes[id as usize];
        if lane.queue.is_empty() {
            self.let_go(id);
            return;
        }
        if lane.key.is_some() && lane.flying > 0 {
            return;
        }
        if lane.failures > 0 {
            let wait = BACKOFF
                .saturating_mul(1 << (lane.failures - 1))
                .min(BACKOFF_MOST);
            self.set_due(id, Some(now + wait.mul_f64(0.5 + jitter / 2.0)));
        } else if lane.due.is_none() {
            // It has lingered while the last one was under way.
            self.set_due(id, Some(now));
        }
    }

    /// Forgets a key of which nothing waits and nothing is under way.
    fn let_go(&mut self, id: u32) {
        let lane = &mut self.lanes[id as usize];
        if !lane.queue.is_empty() || lane.flying > 0 {
            return;
        }
        self.set_due(id, None);
        let lane = &mut self.lanes[id as usize];
        if let Some(key) = lane.key.take() {
            self.keys.remove(&key);
            *lane = Lane::default();
            self.free.push(id);
        }
    }

    /// Tells what waits and is late.
    fn expire(&mut self, now: Instant) {
        while let Some(&(deadline, id)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            let lane = &mut self.lanes[id as usize];
            while let Some(entry) = lane.queue.pop_front_if(|entry| entry.is_late(now)) {
                lane.bytes -= entry.bytes;
                entry.tell_late();
            }
            self.rewatch(id);
            self.let_go(id);
        }
    }

    /// From now on nothing lingers, until [`rest`](Self::rest).
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.hurries += 1;
        let lingering: Vec<_> = self.due.range((now, 0)..).map(|(_, id)| *id).collect();
        for id in lingering {
            if self.lanes[id as usize].failures == 0 {
                self.set_due(id, Some(now));
            }
        }
    }

    pub(crate) fn rest(&mut self) {
        self.hurries -= 1;
    }

    /// Nothing more will be submitted.
    pub(crate) fn end(&mut self, now: Instant) {
        if !self.ended {
            self.ended = true;
            self.hurry(now);
        }
    }

    fn set_due(&mut self, id: u32, due: Option<Instant>) {
        let lane = &mut self.lanes[id as usize];
        if let Some(before) = std::mem::replace(&mut lane.due, due) {
            self.due.remove(&(before, id));
        }
        if let Some(due) = due {
            self.due.insert((due, id));
        }
    }

    fn rewatch(&mut self, id: u32) {
        let first = self.lanes[id as usize].queue.front();
        let deadline = first.map(|entry| entry.batch.deadline());
        self.watch(id, deadline);
    }

    fn watch(&mut self, id: u32, deadline: Option<Instant>) {
        let lane = &mut self.lanes[id as usize];
        if lane.late == deadline {
            return;
        }
        if let Some(before) = std::mem::replace(&mut lane.late, deadline) {
            self.deadlines.remove(&(before, id));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
    }
}

/// Pub/Sub tells an id, and not when it was published, which a position begins with.
fn written() -> Receipt {
    Receipt::default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
