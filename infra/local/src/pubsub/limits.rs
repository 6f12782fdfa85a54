//! How much a request may hold, and how fast keys and streams go.
//!
//! Source: Pub/Sub documentation, "Quotas and limits", resource limits, and the reference of the API (2026-11). Where it says
//! MB, it is a million here, and KB a thousand: the smaller reading.

use std::time::{Duration, Instant};

/// The largest publish request, and the largest message in it, in bytes.
pub(super) const PUBLISH_BYTES: usize = 10_000_000;
/// The most messages of a publish request.
pub(super) const PUBLISH_MESSAGES: usize = 1_000;
/// The most messages that a Pull may ask for.
pub(super) const PULL_MESSAGES: i32 = 1_000;
pub(super) const ATTRIBUTES: usize = 100;
/// The longest key of an attribute, in bytes.
pub(super) const ATTRIBUTE_KEY: usize = 256;
/// The longest value of an attribute, in bytes.
pub(super) const ATTRIBUTE_VALUE: usize = 1_024;
/// The longest ordering key, in bytes.
pub(super) const ORDERING_KEY: usize = 1_000;
/// The largest Acknowledge or ModifyAckDeadline, in bytes.
pub(super) const ACK_BYTES: usize = 524_288;
/// How long the service's ack ids are, about, with what goes around them in a request: ours are shorter, and count as long.
pub(super) const ACK_ID_BYTES: usize = 184;
/// The shortest and the longest ack deadline, in seconds.
pub(super) const DEADLINES: std::ops::RangeInclusive<i32> = 10..=600;
/// What a message is kept for at least and at most, in seconds.
pub(super) const RETENTION: std::ops::RangeInclusive<i64> = 600..=31 * 24 * 3_600;
/// What a subscription keeps where it says nothing, in seconds.
pub(super) const DEFAULT_RETENTION: i64 = 7 * 24 * 3_600;
/// The attempts after which a message may go to a dead-letter topic.
pub(super) const ATTEMPTS: std::ops::RangeInclusive<i32> = 5..=100;
/// The longest backoff of a retry policy, in seconds.
pub(super) const BACKOFF: i64 = 600;

/// The most topics of a project.
pub(super) const TOPICS: usize = 10_000;
/// The most subscriptions of a project.
pub(super) const SUBSCRIPTIONS: usize = 10_000;
/// The most snapshots of a project.
pub(super) const SNAPSHOTS: usize = 5_000;
/// The most labels of one of these. Source of this and the next: Pub/Sub documentation, "Labels" (2026-11).
pub(super) const LABELS: usize = 64;
/// The longest key of a label, and the longest value, in characters.
pub(super) const LABEL: usize = 63;
/// As many full projects there is room for. This and the next are ours, since everything is in memory.
pub(super) const PROJECTS: usize = 10;
/// The largest description of a topic, a subscription or a snapshot, in bytes: twice what labels may have.
pub(super) const DESCRIPTION: usize = 64 * 1024;

/// What may be published with one ordering key, in bytes a second.
pub(super) const KEY_RATE: usize = 1_000_000;
/// What a StreamingPull gives, in bytes a second.
pub(super) const STREAM_RATE: usize = 10_000_000;

/// A second's worth of bytes, which fills steadily. What is let through may be larger: that is made up for.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    left: f64,
    filled: Instant,
}

impl Bucket {
    #[allow(clippy::cast_precision_loss)] // megabytes
    pub(super) fn new(rate: usize, now: Instant) -> Self {
        Bucket {
            rate: rate as f64,
            left: rate as f64,
            filled: now,
        }
    }

    /// How long nothing may go through; zero if something may now.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.left = (self.left + passed * self.rate).min(self.rate);
        match self.left > 0.0 {
            true => Duration::ZERO,
            // Rounded up, so that one who waits for it doesn't come too early.
            false => Duration::from_secs_f64(-self.left / self.rate) + Duration::from_micros(1),
        }
    }

    #[allow(clippy::cast_precision_loss)] // at most a request's
    pub(super) fn take(&mut self, bytes: usize) {
        self.left -= bytes as f64;
    }

    /// True if nothing was taken for a second or longer.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left + passed * self.rate >= self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_its_rate_through() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000_000, start);
        let mut through = 0;
        for n in 0..100_000 {
            if bucket
                .wait(start + Duration::from_micros(n * 100))
                .is_zero()
            {
                bucket.take(10_000);
                through += 1;
            }
        }
        // One second's worth is there at the start.
        assert!((1_095..=1_105).contains(&through), "{through}");
        let wait = bucket.wait(start + Duration::from_secs(10));
        let later = start + Duration::from_secs(10) + wait;
        assert!(bucket.wait(later).is_zero());
        assert!(bucket.is_full(later + Duration::from_secs(2)));
    }
}
