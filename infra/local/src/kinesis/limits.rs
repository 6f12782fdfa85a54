//! What may be read from a shard: five GetRecords a second and 2 MiB a second, and nothing for 5 s after 10 MiB at once.
//!
//! Source: Kinesis API reference, GetRecords (2026-11): five transactions and 2 MiB a second for each shard; after an answer of
//! 10 MiB calls within the next 5 s throw. How finely a second is measured isn't said: here both are buckets that hold one
//! second's worth and fill steadily, so that a reader may begin with five calls at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const CALLS_PER_SECOND: f64 = 5.0;
const BYTES_PER_SECOND: f64 = 2.0 * 1024.0 * 1024.0;
/// The most data that GetRecords gives at once.
pub(super) const LARGEST_ANSWER: usize = 10 * 1024 * 1024;
const REST: Duration = Duration::from_secs(5);

/// The read limits of every shard.
#[derive(Debug, Default)]
pub(super) struct ReadLimits {
    shards: Mutex<HashMap<(String, String), Shard>>,
}

impl ReadLimits {
    /// True if a GetRecords may read from the shard now; it counts as a call then.
    pub(super) fn admit(&self, stream: &str, shard: &str, now: Instant) -> bool {
        self.with(stream, shard, now, |state| state.admit(now))
    }

    /// Counts the bytes of data that a GetRecords gave. `full`: it gave as much as it can at once.
    pub(super) fn took(&self, stream: &str, shard: &str, bytes: usize, full: bool, now: Instant) {
        self.with(stream, shard, now, |state| state.took(bytes, full, now));
    }

    fn with<T>(
        &self,
        stream: &str,
        shard: &str,
        now: Instant,
        f: impl FnOnce(&mut Shard) -> T,
    ) -> T {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (stream.to_owned(), shard.to_owned());
        f(shards.entry(key).or_insert_with(|| Shard::new(now)))
    }
}

#[derive(Debug)]
struct Shard {
    calls: f64,
    bytes: f64,
    filled: Instant,
    rests_until: Instant,
}

impl Shard {
    fn new(now: Instant) -> Self {
        Shard {
            calls: CALLS_PER_SECOND,
            bytes: BYTES_PER_SECOND,
            filled: now,
            rests_until: now,
        }
    }

    fn admit(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.calls = (self.calls + passed * CALLS_PER_SECOND).min(CALLS_PER_SECOND);
        self.bytes = (self.bytes + passed * BYTES_PER_SECOND).min(BYTES_PER_SECOND);
        // An answer may be larger than what is left: the next call waits until it is made up for.
        let open = self.calls >= 1.0 && self.bytes > 0.0 && now >= self.rests_until;
        if open {
            self.calls -= 1.0;
        }
        open
    }

    fn took(&mut self, bytes: usize, full: bool, now: Instant) {
        #[allow(clippy::cast_precision_loss)] // at most some MiB
        let taken = bytes as f64;
        self.bytes -= taken;
        if full {
            self.rests_until = now + REST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(limits: &ReadLimits, shard: &str, times: usize, now: Instant) -> usize {
        (0..times).filter(|_| limits.admit("s", shard, now)).count()
    }

    #[test]
    fn five_calls_a_second_for_each_shard() {
        let (limits, start) = (ReadLimits::default(), Instant::now());
        assert_eq!(calls(&limits, "0", 20, start), 5);
        assert_eq!(calls(&limits, "1", 20, start), 5);
        // A call every 200 ms is let through for ever, one every 100 ms half of the time.
        let at = |ms| start + Duration::from_millis(ms);
        let steady = |from: u64, step: u64| {
            (0..50)
                .filter(|n| limits.admit("s", "0", at(from + n * step)))
                .count()
        };
        assert_eq!(steady(1_000, 200), 50);
        let hasty = steady(20_000, 100);
        assert!((25..=30).contains(&hasty), "{hasty}");
    }

    #[test]
    fn two_mebibytes_a_second_and_a_rest_after_ten() {
        let (limits, start) = (ReadLimits::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(limits.admit("s", "0", start));
        limits.took("s", "0", 5 * 1024 * 1024, false, start);
        // 3 MiB too many: 1.5 s.
        assert!(!limits.admit("s", "0", at(1_490)));
        assert!(limits.admit("s", "0", at(1_510)));
        assert!(limits.admit("s", "1", start));
        limits.took("s", "1", LARGEST_ANSWER, true, start);
        assert!(!limits.admit("s", "1", at(4_990)));
        assert!(limits.admit("s", "1", at(5_000)));
    }
}
