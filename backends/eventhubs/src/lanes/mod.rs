//! What waits for one link, what it sends next, and what follows from the answers. Pure: no I/O, and
//! the clock is passed in.
//!
//! Strict order for each key (P3) rests on three rules: a key has one lane; a lane has one message in
//! flight; what failed goes again before everything later, from where it was.

mod entry;
mod pace;
mod request;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub(crate) use entry::Entry;
pub(crate) use request::{Answer, Request, Rest};

use crate::message::{in_batch, on_batch};
use anyhub_core::{Error, Partition};
use pace::{Pace, Units};
use rand::{SeedableRng, rngs::StdRng};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// What goes through one link.
#[derive(Debug)]
pub(crate) struct Lane {
    /// None: Event Hubs chooses.
    partition: Option<Partition>,
    /// Bytes of the largest message.
    largest: usize,
    linger: Duration,
    /// In the order of their submission, which is that of their deadlines.
    queue: VecDeque<Entry>,
    /// So many were submitted.
    count: u64,
    /// Bytes that the queue takes in messages.
    bytes: usize,
    /// Until then it waits for more to come. None: nothing is here.
    due: Option<Instant>,
    pace: Pace,
    /// Why the last message failed.
    trouble: Option<Error>,
    /// What is in flight weighs so much.
    in_flight: Option<Units>,
    ending: bool,
    bell: Arc<Notify>,
    rng: StdRng,
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

/// With so much, it waits for no more.
const PLENTY: usize = 256 << 10;
/// How far the queue is looked through for events of one key.
const SEARCHED: usize = 4096;

impl Lane {
    pub(crate) fn new(
        partition: Option<Partition>,
        largest: usize,
        linger: Duration,
        seed: u64,
    ) -> Self {
        Self {
            partition,
            largest,
            linger,
            queue: VecDeque::new(),
            count: 0,
            bytes: 0,
            due: None,
            pace: Pace::default(),
            trouble: None,
            in_flight: None,
            ending: false,
            bell: Arc::default(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Rung when there may be something to do before the time that was told.
    pub(crate) fn bell(&self) -> Arc<Notify> {
        self.bell.clone()
    }

    /// Takes events in, behind all others. With `hurry` they wait for no more.
    pub(crate) fn submit(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        now: Instant,
        hurry: bool,
    ) {
        for mut entry in entries {
            entry.number = self.count;
            self.count += 1;
            self.bytes += in_batch(entry.encoded.len());
            self.queue.push_back(entry);
        }
        if self.queue.is_empty() {
            return;
        }
        let plenty = hurry || self.bytes >= PLENTY.min(self.largest);
        let latest = if plenty { now } else { now + self.linger };
        let due = self.due.map_or(latest, |due| due.min(latest));
        if self.due != Some(due) {
            self.due = Some(due);
            self.ring();
        }
    }

    /// What the lane's task does next. After Send it answers before it asks again.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        // Also where the task before failed under way.
        self.in_flight = None;
        self.tell_late(now);
        let Some(first) = self.queue.front() else {
            self.due = None;
            self.pace.idle();
            return match self.ending {
                true => Step::Gone,
                false => Step::Wait(None),
            };
        };
        let due = self.due.unwrap_or(now);
        let due = self.pace.rests_until.map_or(due, |rest| rest.max(due));
        if due > now {
            return Step::Wait(Some(due.min(first.deadline())));
        }
        let entries = self.take();
        self.due = (!self.queue.is_empty()).then_some(now);
        self.in_flight = Some(units(&entries));
        Step::Send(Request::new(entries, self.partition.clone()))
    }

    /// While a message is on its way: tells what is late, of it and of what waits, and when the next
    /// one is; None: all of the message are. `handed_on`: it may be written by now.
    pub(crate) fn expire(
        &mut self,
        request: &mut Request,
        now: Instant,
        handed_on: bool,
    ) -> Option<Instant> {
        request.expire(now, handed_on, self.trouble.as_ref());
        self.tell_late(now);
        let first = request.first_deadline()?;
        // Where Event Hubs chooses, others may wait since before the last of the message.
        let waiting = self.queue.front().map(Entry::deadline);
        Some(waiting.map_or(first, |waiting| waiting.min(first)))
    }

    /// What is left of the lane's message after its answer.
    pub(crate) fn answered(&mut self, rest: Rest, now: Instant) {
        let units = self.in_flight.take().unwrap_or_default();
        match &rest.trouble {
            None => self.pace.written(units, now),
            // Not for its own sake, but for another one's.
            Some(_) if rest.one_by_one => {}
            Some(error) => self.pace.failed(units, error, now, &mut self.rng),
        }
        self.trouble = rest.trouble;
        self.put_back(rest.again);
        if !self.queue.is_empty() {
            self.due = Some(now);
        }
    }

    /// What is here waits for no more.
    pub(crate) fn hurry(&mut self, now: Instant) {
        if !self.queue.is_empty() {
            self.due = Some(now);
        }
        self.ring();
    }

    /// Nothing more is submitted: when all is told, its task is told that the lane is gone.
    pub(crate) fn end(&mut self, now: Instant) {
        self.ending = true;
        self.hurry(now);
    }

    fn ring(&self) {
        if self.in_flight.is_none() {
            self.bell.notify_one();
        }
    }

    fn tell_late(&mut self, now: Instant) {
        while let Some(entry) = self.queue.front()
            && entry.is_late(now)
        {
            entry.tell_late(false, self.trouble.as_ref());
            self.bytes -= in_batch(entry.encoded.len());
            self.queue.pop_front();
        }
    }

    /// Back to where they were.
    fn put_back(&mut self, mut again: Vec<Entry>) {
        let Some(last) = again.last().map(|entry| entry.number) else {
            return;
        };
        let sizes = again.iter().map(|entry| in_batch(entry.encoded.len()));
        self.bytes += sizes.sum::<usize>();
        while let Some(entry) = self.queue.pop_front_if(|entry| entry.number < last) {
            again.push(entry);
        }
        again.sort_by_key(|entry| entry.number);
        for entry in again.into_iter().rev() {
            self.queue.push_front(entry);
        }
    }

    /// As many of the first as a message takes; where Event Hubs chooses by key, those of one key.
    fn take(&mut self) -> Vec<Entry> {
        let most = self.pace.most();
        let mut taken: Vec<Entry> = Vec::new();
        let mut passed = Vec::new();
        let key = self.queue.front().and_then(|first| first.key.as_deref());
        let mut size = key.map_or(0, |key| on_batch(key.len()));
        while let Some(entry) = self.queue.pop_front() {
            let bytes = in_batch(entry.encoded.len());
            let alone = entry.alone;
            let full = alone
                || size + bytes > self.largest
                || Units::of(taken.len() + 1, size + bytes) > most;
            if full && !taken.is_empty() {
                self.queue.push_front(entry);
                break;
            }
            if taken.first().is_none_or(|first| first.key == entry.key) {
                size += bytes;
                self.bytes -= bytes;
                taken.push(entry);
                if alone {
                    break;
                }
            } else {
                passed.push(entry);
                if passed.len() == SEARCHED {
                    break;
                }
            }
        }
        for entry in passed.into_iter().rev() {
            self.queue.push_front(entry);
        }
        taken
    }
}

fn units(entries: &[Entry]) -> Units {
    let sizes = entries.iter().map(|entry| in_batch(entry.encoded.len()));
    Units::of(entries.len(), sizes.sum())
}
