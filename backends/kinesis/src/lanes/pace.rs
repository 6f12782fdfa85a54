//! How much a lane asks of its shard at once, and when again.
//!
//! A shard takes 1 MiB and 1,000 records a second (Kinesis developer guide, "Quotas and limits",
//! 2026-11), from all producers together; how finely a second is measured isn't said. So nothing is
//! reckoned ahead. What is refused is asked for again soon, but no more than a little of it, and
//! what goes through doubles the next request.

use super::request::Tally;
use rand::{Rng, RngExt};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Pace {
    /// Of the next request.
    pub(super) bytes: usize,
    pub(super) records: usize,
    most_bytes: usize,
    /// Not earlier than this.
    pub(super) rests_until: Option<Instant>,
    /// Since when nothing has been written, though it was tried.
    stuck: Option<Instant>,
    /// Requests that came to nothing, one after the other.
    in_vain: u32,
}

/// PutRecords takes no more (API reference, 2026-11).
pub(super) const MOST_RECORDS: usize = 500;
/// What a shard takes in about 25 ms; of bytes, one PUT payload unit.
const LEAST_RECORDS: usize = 25;
const LEAST_BYTES: usize = 25 << 10;

/// How long after a refusal. A shard that measures by the second loses half of this of each.
const SOON: Duration = Duration::from_millis(20);
/// As long as this, a second may have to pass before anything goes through.
const PATIENCE: Duration = Duration::from_millis(1500);
const LATEST: Duration = Duration::from_millis(250);
/// Where the doubling of the wait after whole requests in vain ends.
const LATEST_WHOLE: Duration = Duration::from_secs(2);

impl Pace {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            bytes: most_bytes,
            records: MOST_RECORDS,
            most_bytes,
            rests_until: None,
            stuck: None,
            in_vain: 0,
        }
    }

    /// Learns from an answer.
    pub(super) fn answered(&mut self, tally: &Tally, now: Instant, rng: &mut impl Rng) {
        self.rests_until = None;
        if tally.whole {
            self.in_vain = (self.in_vain + 1).min(16);
            let wait = SOON * (1 << (self.in_vain - 1).min(8));
            self.rest(wait.min(LATEST_WHOLE), now, rng);
            return;
        }
        self.in_vain = 0;
        if tally.written > 0 {
            self.stuck = None;
        }
        if tally.throttled > tally.written {
            self.bytes = (self.bytes / 4).max(LEAST_BYTES.min(self.most_bytes));
            self.records = (self.records / 4).max(LEAST_RECORDS);
        } else if tally.throttled == 0 {
            self.bytes = (self.bytes * 2).min(self.most_bytes);
            self.records = (self.records * 2).min(MOST_RECORDS);
        }
        if tally.throttled + tally.failed > 0 {
            let stuck = *self.stuck.get_or_insert(now);
            let long = now.saturating_duration_since(stuck) > PATIENCE;
            // A quarter of the time in which the shard takes that much.
            let worth = Duration::from_micros(tally.throttled_bytes as u64 * 1_000_000 / (4 << 20));
            let wait = if long {
                LATEST
            } else {
                worth.clamp(SOON, LATEST)
            };
            self.rest(wait, now, rng);
        }
    }

    /// With jitter, so that lanes and producers don't come all at once.
    fn rest(&mut self, wait: Duration, now: Instant, rng: &mut impl Rng) {
        self.rests_until = Some(now + wait.mul_f64(rng.random_range(0.75..1.25)));
    }
}
