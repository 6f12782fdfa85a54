//! How much a namespace takes and gives: its throughput units.
//!
//! Source: Event Hubs documentation, "Scaling with Event Hubs", throughput units (2026-11): for each unit 1 MB or 1,000 events in
//! and 2 MB or 4,096 events out a second. How finely a second is measured isn't said: here each is a bucket that holds one
//! second's worth and fills steadily. A message comes in when it is all there, or the bucket is full; to readers goes what they
//! ask for as long as there is anything left, and then nothing until that is made up for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const IN: Amount = Amount {
    events: 1_000.0,
    bytes: 1_048_576.0,
};
const OUT: Amount = Amount {
    events: 4_096.0,
    bytes: 2_097_152.0,
};

#[derive(Clone, Copy, Debug)]
struct Amount {
    events: f64,
    bytes: f64,
}

/// The limits of a namespace; none where there are no units.
#[derive(Debug)]
pub(super) struct Throughput(Option<[Mutex<Bucket>; 2]>);

impl Throughput {
    pub(super) fn new(units: Option<u32>) -> Self {
        let now = Instant::now();
        let bucket = |unit, units| Mutex::new(Bucket::new(unit, units, now));
        Throughput(units.map(|units| [bucket(IN, units), bucket(OUT, units)]))
    }

    /// True if a message may come in now; it counts then.
    pub(super) fn admit(&self, events: usize, bytes: usize) -> bool {
        let Some([into, _]) = &self.0 else {
            return true;
        };
        let (mut bucket, now) = (lock(into), Instant::now());
        let open = bucket.wait(now, events, bytes).is_zero();
        if open {
            bucket.take(events, bytes);
        }
        open
    }

    /// How long nothing may go out; zero if something may now.
    pub(super) fn wait(&self) -> Duration {
        let Some([_, out]) = &self.0 else {
            return Duration::ZERO;
        };
        lock(out).wait(Instant::now(), 1, 1)
    }

    /// Counts what went out.
    pub(super) fn took(&self, events: usize, bytes: usize) {
        if let Some([_, out]) = &self.0 {
            lock(out).take(events, bytes);
        }
    }
}

fn lock(bucket: &Mutex<Bucket>) -> MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Bucket {
    /// What comes in a second, and what it holds.
    rate: Amount,
    left: Amount,
    filled: Instant,
}

impl Bucket {
    fn new(unit: Amount, units: u32, now: Instant) -> Self {
        let units = f64::from(units);
        let rate = Amount {
            events: unit.events * units,
            bytes: unit.bytes * units,
        };
        Bucket {
            rate,
            left: rate,
            filled: now,
        }
    }

    /// How long until so much is there, or as much as it holds.
    fn wait(&mut self, now: Instant, events: usize, bytes: usize) -> Duration {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        let fill = |left: f64, rate: f64| (left + passed * rate).min(rate);
        self.left.events = fill(self.left.events, self.rate.events);
        self.left.bytes = fill(self.left.bytes, self.rate.bytes);
        #[allow(clippy::cast_precision_loss)] // at most a message's
        let due = |left: f64, rate: f64, asked: usize| ((asked as f64).min(rate) - left) / rate;
        let events = due(self.left.events, self.rate.events, events);
        let seconds = events.max(due(self.left.bytes, self.rate.bytes, bytes));
        // Rounded up, so that one who waits for it doesn't come too early.
        match seconds > 0.0 {
            true => Duration::from_secs_f64(seconds) + Duration::from_micros(1),
            false => Duration::ZERO,
        }
    }

    fn take(&mut self, events: usize, bytes: usize) {
        #[allow(clippy::cast_precision_loss)] // at most a message's
        let (events, bytes) = (events as f64, bytes as f64);
        self.left.events -= events;
        self.left.bytes -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these are let through when one is tried every 100 us for ten seconds.
    fn through(unit: Amount, units: u32, events: usize, bytes: usize) -> usize {
        let start = Instant::now();
        let mut bucket = Bucket::new(unit, units, start);
        let mut through = 0;
        for n in 0..100_000 {
            if bucket
                .wait(start + Duration::from_micros(n * 100), events, bytes)
                .is_zero()
            {
                bucket.take(events, bytes);
                through += 1;
            }
        }
        through
    }

    #[test]
    fn a_unit_is_a_thousand_events_or_a_megabyte_a_second() {
        // One second's worth is there at the start.
        let single = through(IN, 1, 1, 100);
        assert!((10_990..=11_010).contains(&single), "{single}");
        let batches = through(IN, 1, 100, 10_000);
        assert!((109..=111).contains(&batches), "{batches}");
        let large = through(IN, 1, 1, 1_048_576);
        assert!((10..=12).contains(&large), "{large}");
        let two = through(IN, 2, 1, 100);
        assert!((21_990..=22_010).contains(&two), "{two}");
        let out = through(OUT, 1, 1, 100);
        assert!((45_000..=45_070).contains(&out), "{out}");
    }

    #[test]
    fn one_who_waits_as_long_as_told_may_go_on() {
        let start = Instant::now();
        let mut bucket = Bucket::new(OUT, 1, start);
        bucket.take(10_000, 0);
        let wait = bucket.wait(start, 1, 1);
        assert!(wait > Duration::from_millis(1_400), "{wait:?}");
        assert!(!bucket.wait(start + wait / 2, 1, 1).is_zero());
        assert!(bucket.wait(start + wait, 1, 1).is_zero());
    }
}
