//! One PutRecords, and what becomes of it.

use super::entry::Entry;
use crate::{aggregate::HashRange, error::HUB, shards::Shard};
use anyhub_core::{Error, ErrorKind, Partition, Position, Receipt, driver::Sequence};
use std::{ops::Range, sync::Arc, time::Instant};

/// Which events share a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Together {
    Key,
    Shard,
    Off,
}

/// A record of a request: which of its events.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) entries: Range<usize>,
    /// Of several hashes, so that a reshard can part them.
    pub(super) mixed: bool,
}

/// A request in flight. Whoever sends it gives it back with an answer.
#[derive(Debug)]
pub(crate) struct Request {
    shard: Arc<Shard>,
    partition: Partition,
    pub(crate) entries: Vec<Entry>,
    pub(crate) records: Vec<Planned>,
}

/// What was answered to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// To each of its records.
    Records(Vec<Landed>),
    /// Nothing of it was written, and it may be tried again.
    Unwritten(Error),
    /// Nobody knows whether it was written.
    Lost(Error),
    /// Nothing of it was written, nor ever will be.
    Refused(Error),
}

/// What became of a record.
#[derive(Debug)]
pub(crate) enum Landed {
    /// It was written, there.
    Written { shard: String, at: Sequence },
    /// The shard takes no more for now.
    Throttled,
    /// Kinesis failed.
    Failed,
}

/// What is left of a request when everything that is certain has been told.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// To be sent again, before anything later of their keys.
    pub(super) again: Vec<Entry>,
    pub(super) undecided: Vec<Undecided>,
    /// Shards other than the lane's that records went to.
    pub(super) elsewhere: Vec<Arc<str>>,
    pub(super) tally: Tally,
    pub(super) trouble: Option<Error>,
}

/// A record of several keys that went to another shard than it was made for. Whether it counts
/// depends on that shard's range: readers drop it if one of its events lies outside.
#[derive(Debug)]
pub(super) struct Undecided {
    pub(super) entries: Vec<Entry>,
    pub(super) shard: Arc<str>,
    at: Sequence,
}

/// How it went, for the pace.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) written: usize,
    pub(super) throttled: usize,
    pub(super) failed: usize,
    /// Of the first record that was throttled.
    pub(super) throttled_bytes: usize,
    /// The request as a whole came to nothing.
    pub(super) whole: bool,
}

impl Request {
    pub(super) fn new(
        shard: Arc<Shard>,
        partition: Partition,
        entries: Vec<Entry>,
        records: Vec<Planned>,
    ) -> Self {
        Self {
            shard,
            partition,
            entries,
            records,
        }
    }

    /// The earliest deadline of its events.
    pub(crate) fn first_deadline(&self) -> Instant {
        let deadlines = self.entries.iter().map(Entry::deadline);
        deadlines.min().unwrap_or_else(Instant::now)
    }

    /// Tells those whose deadline has passed meanwhile. The earliest deadline that is left; None:
    /// nobody waits for the answer any more.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        expire(&self.entries, now)
    }

    /// Tells what is certain.
    pub(crate) fn settle(mut self, answer: Answer) -> Rest {
        let mut rest = Rest::default();
        match answer {
            Answer::Records(landed) if landed.len() == self.records.len() => {
                self.settle_each(landed, &mut rest);
            }
            Answer::Records(_) => {
                let message = "the answer tells of more or fewer records than were sent";
                let error = Error::new(ErrorKind::Unexpected, HUB, "submit", message);
                self.all_again(error, true, &mut rest);
            }
            Answer::Lost(error) => self.all_again(error, true, &mut rest),
            Answer::Unwritten(error) => self.all_again(error, false, &mut rest),
            Answer::Refused(error) => {
                for entry in &self.entries {
                    entry.tell_refused(&error);
                }
                rest.tally.whole = true;
            }
        }
        rest
    }

    fn all_again(&mut self, error: Error, maybe: bool, rest: &mut Rest) {
        for entry in &mut self.entries {
            entry.maybe |= maybe;
        }
        rest.again = std::mem::take(&mut self.entries);
        rest.tally.whole = true;
        rest.trouble = Some(error);
    }

    fn settle_each(self, landed: Vec<Landed>, rest: &mut Rest) {
        let mut entries = self.entries.into_iter();
        for (record, landed) in self.records.into_iter().zip(landed) {
            let entries = entries.by_ref().take(record.entries.len());
            match landed {
                Landed::Written { shard, at } if *shard == *self.shard.id => {
                    rest.tally.written += 1;
                    tell_written(entries, &self.partition, at);
                }
                Landed::Written { shard, at } => {
                    rest.tally.written += 1;
                    let shard: Arc<str> = shard.into();
                    if !rest.elsewhere.contains(&shard) {
                        rest.elsewhere.push(shard.clone());
                    }
                    if record.mixed {
                        let entries = entries.collect();
                        rest.undecided.push(Undecided { entries, shard, at });
                    } else {
                        tell_written(entries, &Partition::named(shard), at);
                    }
                }
                Landed::Throttled => {
                    let before = rest.again.len();
                    rest.again.extend(entries);
                    if rest.tally.throttled == 0 {
                        let again = &rest.again[before..];
                        rest.tally.throttled_bytes = again.iter().map(Entry::alone).sum();
                        rest.trouble = Some(throttled());
                    }
                    rest.tally.throttled += 1;
                }
                Landed::Failed => {
                    rest.tally.failed += 1;
                    rest.again.extend(entries);
                    rest.trouble.get_or_insert_with(failed);
                }
            }
        }
    }
}

impl Undecided {
    /// As [`Request::expire`]. What is told stays, as its place and its hash count.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        expire(&self.entries, now)
    }

    /// Tells that it was written, or gives back what has to be sent again.
    pub(super) fn decide(mut self, range: &HashRange) -> Vec<Entry> {
        if self.entries.iter().all(|entry| range.contains(entry.hash)) {
            tell_written(
                self.entries.into_iter(),
                &Partition::named(self.shard),
                self.at,
            );
            return Vec::new();
        }
        // A reader that doesn't go by KCL's rule sees them.
        for entry in &mut self.entries {
            entry.maybe = true;
        }
        self.entries
    }
}

fn expire(entries: &[Entry], now: Instant) -> Option<Instant> {
    for entry in entries.iter().filter(|entry| entry.is_late(now)) {
        entry.tell_late(true, None);
    }
    let left = entries.iter().filter(|entry| !entry.is_late(now));
    left.map(Entry::deadline).min()
}

fn tell_written(entries: impl Iterator<Item = Entry>, partition: &Partition, at: Sequence) {
    for (index, entry) in entries.enumerate() {
        let position = Position::from(at.with_index(index as u32));
        entry.tell(Ok(Receipt::at(partition.clone(), position)));
    }
}

fn throttled() -> Error {
    let message = "the shard takes no more for now (ProvisionedThroughputExceededException)";
    Error::new(ErrorKind::Throttled, HUB, "submit", message)
        .with_advice("give the stream more shards, or submit more slowly")
}

fn failed() -> Error {
    let message = "Kinesis failed to write the record (InternalFailure)";
    Error::new(ErrorKind::Unavailable, HUB, "submit", message)
}
